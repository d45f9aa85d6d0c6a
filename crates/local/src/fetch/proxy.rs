//! Connections through proxies.
//!
//! `https` goes through a tunnel (`CONNECT`). `http` does not: proxies in front of package mirrors cache,
//! and many refuse tunnels to port 80. So the request itself goes to the proxy, naming the whole address,
//! which the HTTP client does not do by itself.

use base64::Engine as _;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::http::uri::Scheme;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, NextTimeout, RustlsConnector, TcpConnector,
    Transport,
};
use ureq::{Agent, Error, Proxy};

use super::names::Names;
use super::{FetchError, url};

/// Which proxies to use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http` addresses, as in `http_proxy`: `http://[user:password@]host:port`.
    pub http: Option<String>,
    /// For `https` addresses, as in `https_proxy`.
    pub https: Option<String>,
    /// Which hosts to reach without, as in `no_proxy`: names and domains, separated by commas, or `*`.
    pub none: String,
}

/// Returns an agent that opens connections through `proxies` where they are to be used.
pub(crate) fn agent(config: Config, proxies: &Proxies) -> Result<Agent, FetchError> {
    let through = Through::new(proxies)?;
    let resolver = Unproxied { through: through.clone(), resolver: Names::default() };
    let connector = through.chain(TcpConnector::default()).chain(RustlsConnector::default());
    Ok(Agent::with_parts(config, connector, resolver))
}

/// Connects through proxies; leaves what needs none to those behind it in the chain.
#[derive(Clone, Debug)]
struct Through {
    http: Option<Uri>,
    https: Option<Uri>,
    /// Says to the client's own connector for tunnels which proxy to use.
    https_config: Config,
    none: Vec<String>,
}

impl Through {
    fn new(proxies: &Proxies) -> Result<Through, FetchError> {
        let bad = |proxy: &str| FetchError::BadProxy { proxy: censored(proxy) };
        let parse = |proxy: &Option<String>| match proxy.as_deref().filter(|proxy| !proxy.is_empty()) {
            None => Ok(None),
            Some(proxy) => parse(proxy).map(Some).ok_or_else(|| bad(proxy)),
        };
        let (http, https) = (parse(&proxies.http)?, parse(&proxies.https)?);
        let tunnel = match &https {
            None => None,
            Some(uri) => Some(Proxy::new(&uri.to_string()).map_err(|_| bad(&uri.to_string()))?),
        };
        let none = proxies.none.split(',').map(|host| host.trim().trim_start_matches('.').to_lowercase());
        let none = none.filter(|host| !host.is_empty()).collect();
        Ok(Through { http, https, https_config: Agent::config_builder().proxy(tunnel).build(), none })
    }

    /// Returns the proxy through which to reach an address.
    fn proxy_of(&self, uri: &Uri) -> Option<&Uri> {
        // The way to a proxy leads through none.
        let is_proxy = [&self.http, &self.https]
            .into_iter()
            .flatten()
            .any(|proxy| (proxy.host(), proxy.port_u16()) == (uri.host(), uri.port_u16()));
        let host = uri.host()?.to_lowercase();
        let direct = self.none.iter().any(|none| {
            none == "*"
                || host.strip_suffix(none.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        });
        if is_proxy || direct {
            return None;
        }
        if uri.scheme() == Some(&Scheme::HTTPS) { self.https.as_ref() } else { self.http.as_ref() }
    }
}

impl Connector<()> for Through {
    type Out = Box<dyn Transport>;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Self::Out>, Error> {
        let Some(proxy) = self.proxy_of(details.uri) else { return Ok(None) };
        let resolver = DefaultResolver::default();
        let addrs = resolver.resolve(proxy, details.config, details.timeout)?;
        if details.uri.scheme() == Some(&Scheme::HTTPS) {
            let details =
                ConnectionDetails { config: &self.https_config, resolver: &resolver, addrs, ..copy(details) };
            let tunnel = ConnectProxyConnector::default().connect(&details, None::<Box<dyn Transport>>)?;
            return Ok(tunnel.map(|tunnel| tunnel.boxed()));
        }
        let direct = ConnectionDetails { uri: proxy, addrs, ..copy(details) };
        let Some(inner) = TcpConnector::default().connect(&direct, None::<Box<dyn Transport>>)? else {
            return Ok(None);
        };
        let origin = details.uri.authority().map_or(String::new(), |authority| {
            let authority = authority.as_str();
            format!("http://{}", authority.rsplit_once('@').map_or(authority, |(_, host)| host))
        });
        let credentials = proxy.authority().and_then(|authority| authority.as_str().rsplit_once('@'));
        let authorization = credentials.map(|(user, _)| {
            // What does not stand for anything stands for itself.
            let user = url::decode(user).unwrap_or_else(|| user.as_bytes().to_vec());
            let credentials = base64::prelude::BASE64_STANDARD.encode(user);
            format!("Proxy-Authorization: Basic {credentials}\r\n")
        });
        let authorization = authorization.unwrap_or_default();
        Ok(Some(Box::new(Forwarded { inner: inner.boxed(), origin, authorization })))
    }
}

fn copy<'a>(details: &ConnectionDetails<'a>) -> ConnectionDetails<'a> {
    ConnectionDetails {
        uri: details.uri,
        addrs: details.resolver.empty(),
        config: details.config,
        request_level: details.request_level,
        resolver: details.resolver,
        now: details.now,
        timeout: details.timeout,
        current_time: details.current_time.clone(),
        run_connector: details.run_connector.clone(),
        register_shutdown: details.register_shutdown.clone(),
    }
}

/// Looks names up, except those that a proxy looks up: here they may not even be known.
#[derive(Debug)]
struct Unproxied {
    through: Through,
    resolver: Names,
}

impl Resolver for Unproxied {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        match self.through.proxy_of(uri) {
            Some(_) => Ok(self.empty()),
            None => self.resolver.resolve(uri, config, timeout),
        }
    }
}

/// A connection to a proxy, to which whole addresses are sent instead of paths.
#[derive(Debug)]
struct Forwarded {
    inner: Box<dyn Transport>,
    /// What comes before the path.
    origin: String,
    /// A header line for the proxy, or nothing.
    authorization: String,
}

impl Transport for Forwarded {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let output = self.inner.buffers().output();
        // The head of a request fits into the buffer. What is sent along after it never begins so: it is the
        // git protocol's, whose lines begin with a number.
        let method = ["GET", "POST"].into_iter().find(|method| {
            let rest = output[..amount].strip_prefix(method.as_bytes());
            rest.is_some_and(|rest| rest.starts_with(b" /"))
        });
        let rewritten = method.and_then(|method| {
            let sent = &output[method.len() + 1..amount];
            let end = sent.windows(2).position(|pair| pair == b"\r\n")? + 2;
            let (line, rest) = sent.split_at(end);
            let (method, origin) = (method.as_bytes(), self.origin.as_bytes());
            Some([method, b" ", origin, line, self.authorization.as_bytes(), rest].concat())
        });
        let amount = match rewritten {
            None => amount,
            Some(head) => {
                let room =
                    output.get_mut(..head.len()).ok_or(Error::LargeResponseHeader(head.len(), amount))?;
                room.copy_from_slice(&head);
                head.len()
            }
        };
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }
}

fn parse(proxy: &str) -> Option<Uri> {
    let proxy = if proxy.contains("://") { proxy.to_owned() } else { format!("http://{proxy}") };
    let uri: Uri = proxy.parse().ok()?;
    (uri.scheme() == Some(&Scheme::HTTP) && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
}

/// A password is nobody's business.
fn censored(proxy: &str) -> String {
    match (proxy.split_once("://"), proxy.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        (_, None) => proxy.to_owned(),
    }
}
