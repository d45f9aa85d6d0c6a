//! The little that must be known about URLs: which kind, where a redirect leads, what not to show.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// Returns the text before the colon in lower case, if `url` begins with that of a URL.
pub(super) fn scheme(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once(':')?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (is_scheme && rest.starts_with("//")).then(|| scheme.to_ascii_lowercase())
}

/// Returns the host with its port and what else stands before the path.
pub(super) fn authority(url: &str) -> &str {
    let rest = url.split_once("//").map_or("", |(_, rest)| rest);
    &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())]
}

/// Returns whether two URLs are of the same scheme, host and port (RFC 6454, section 5).
pub(super) fn is_same_origin(one: &str, other: &str) -> bool {
    let host = |url: &str| {
        let authority = authority(url);
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_ascii_lowercase();
        let port = match scheme(url).as_deref() {
            Some("https") => ":443",
            Some("http") => ":80",
            _ => "",
        };
        host.strip_suffix(port).map(str::to_owned).unwrap_or(host)
    };
    scheme(one) == scheme(other) && host(one) == host(other)
}

/// Returns whether a password is part of the URL that would be sent in clear text.
pub(super) fn has_open_password(url: &str) -> bool {
    let user = authority(url).rsplit_once('@').map_or("", |(user, _)| user);
    scheme(url).as_deref() == Some("http") && user.contains(':')
}

/// Returns where `location`, in an answer from `base`, leads (RFC 3986, section 5.2). `None` if that is not
/// `http` or `https`.
pub(super) fn join(base: &str, location: &str) -> Option<String> {
    let location = location.split('#').next().unwrap_or_default().trim();
    let base_scheme = scheme(base)?;
    let joined = if let Some(scheme) = scheme(location) {
        if scheme != "http" && scheme != "https" {
            return None;
        }
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{base_scheme}:{location}")
    } else if location.split(['/', '?']).next().is_some_and(|first| first.contains(':')) {
        return None;
    } else {
        let authority = authority(base);
        let start = base_scheme.len() + "://".len() + authority.len();
        let path = base[start..].split(['?', '#']).next().unwrap_or_default();
        let path = match location.chars().next() {
            None | Some('?') => format!("{path}{location}"),
            Some('/') => without_dots(location),
            Some(_) => {
                without_dots(&format!("{}{location}", &path[..path.rfind('/').map_or(0, |idx| idx + 1)]))
            }
        };
        format!("{base_scheme}://{authority}{path}")
    };
    (!authority(&joined).is_empty()).then_some(joined)
}

fn without_dots(path_and_query: &str) -> String {
    let (path, query) = path_and_query.split_at(path_and_query.find('?').unwrap_or(path_and_query.len()));
    let mut parts: Vec<&str> = Vec::new();
    let n_parts = path.split('/').count();
    for (idx, part) in path.split('/').enumerate().skip(usize::from(path.starts_with('/'))) {
        match part {
            "." | ".." => {
                if part == ".." {
                    parts.pop();
                }
                if idx + 1 == n_parts {
                    parts.push("");
                }
            }
            _ => parts.push(part),
        }
    }
    format!("/{}{query}", parts.join("/"))
}

/// Returns `url` as it may be shown: without a password.
pub(super) fn shown(url: &str) -> String {
    let authority = authority(url);
    let Some((user, host)) = authority.rsplit_once('@') else { return url.to_owned() };
    let user = user.split(':').next().unwrap_or_default();
    url.replacen(authority, &format!("{user}:***@{host}"), 1)
}

/// Returns the path of a `file` URL on this machine.
pub(super) fn file_path(url: &str) -> Option<PathBuf> {
    let authority = authority(url);
    if scheme(url)? != "file" || !(authority.is_empty() || authority == "localhost") {
        return None;
    }
    let decoded = decode(&url[url.find("//")? + 2 + authority.len()..])?;
    let is_path = decoded.starts_with(b"/") && !decoded.contains(&0);
    is_path.then(|| PathBuf::from(OsString::from_vec(decoded)))
}

/// Returns what `text` stands for, in which `%2F` is a byte.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first == b'%' {
            let digits = rest.split_at_checked(2)?;
            let text = std::str::from_utf8(digits.0).ok().filter(|text| !text.starts_with('+'))?;
            decoded.push(u8::from_str_radix(text, 16).ok()?);
            rest = digits.1;
        } else {
            decoded.push(*first);
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_scheme_host_and_port() {
        let check = |one: &str, other: &str| is_same_origin(one, other);
        assert!(check("https://user:secret@A.example/x", "HTTPS://a.example:443/y?z"));
        assert!(check("http://a.example:80", "http://a.example"));
        for other in
            ["http://a.example/x", "https://a.example:8443/x", "https://b.example/x", "https://a.example.b/x"]
        {
            assert!(!check("https://a.example/x", other), "{other}");
        }
    }

    #[test]
    fn passwords_are_not_sent_openly() {
        assert!(has_open_password("HTTP://user:secret@a.example/x"));
        for closed in
            ["https://user:secret@a.example/x", "http://user@a.example:80/x:y@z", "http://a.example:80/"]
        {
            assert!(!has_open_password(closed), "{closed}");
        }
    }

    #[test]
    fn redirects_lead_where_browsers_go() {
        let base = "https://user:secret@a.example:8443/x/y/z?q=1";
        for (location, expected) in [
            ("http://b.example/w", Some("http://b.example/w")),
            ("HTTP://b.example/w#part", Some("HTTP://b.example/w")),
            ("//b.example/w", Some("https://b.example/w")),
            ("/w?r=2", Some("https://user:secret@a.example:8443/w?r=2")),
            ("w", Some("https://user:secret@a.example:8443/x/y/w")),
            ("../../../w", Some("https://user:secret@a.example:8443/w")),
            ("./..", Some("https://user:secret@a.example:8443/x/")),
            ("?r=2", Some("https://user:secret@a.example:8443/x/y/z?r=2")),
            ("w/a:b", Some("https://user:secret@a.example:8443/x/y/w/a:b")),
            ("file:///etc/passwd", None),
            ("ftp://b.example/w", None),
            ("javascript:w", None),
            ("https://", None),
        ] {
            assert_eq!(join(base, location).as_deref(), expected, "{location}");
        }
        assert_eq!(join("http://a.example", "w").as_deref(), Some("http://a.example/w"));
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(shown("https://me:secret@a.example/x@y"), "https://me:***@a.example/x@y");
        assert_eq!(shown("https://token@a.example/"), "https://token:***@a.example/");
        assert_eq!(shown("https://a.example/x@y"), "https://a.example/x@y");
    }

    #[test]
    fn file_urls_are_paths_of_this_machine() {
        assert_eq!(file_path("file:///a%20b/c"), Some(PathBuf::from("/a b/c")));
        assert_eq!(file_path("file://localhost/a"), Some(PathBuf::from("/a")));
        for bad in
            ["file://elsewhere/a", "file:///a%0", "file:///a%zz", "file:///a%00b", "file://", "http:///a"]
        {
            assert_eq!(file_path(bad), None, "{bad}");
        }
    }
}
