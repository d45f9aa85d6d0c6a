//! What is expected to be measured, as a document for those who verify guests: a CoRIM (draft-ietf-rats-corim-10).
//!
//! Which profile: that of launch measurements, `tag:microsoft.com,2026:launch-measurement/v1`, which the `igvm` crate
//! documents and IGVM files may have inside. A document of it has one measurement of one platform, and the security
//! version that a guest has which measures so.

use corim::BuilderError;
use corim::builder::{ComidBuilder, CorimBuilder};
use corim::types::common::{MeasuredElement, TagIdChoice};
use corim::types::corim::{CorimId, ProfileChoice};
use corim::types::environment::{ClassMap, EnvironmentMap};
use corim::types::measurement::{Digest, MeasurementMap, MeasurementValuesMap, SvnChoice};
use corim::types::triples::{
    CesCondition, ConditionalEndorsementSeriesTriple, ConditionalSeriesRecord, ReferenceTriple,
};

use crate::{Measurement, PlatformKind};

const PROFILE: &str = "tag:microsoft.com,2026:launch-measurement/v1";
/// Numbers of algorithms (RFC 6920, section 9.4, and what IANA added to it).
const SHA256: i64 = 1;
const SHA384: i64 = 7;

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum CorimError {
    /// A platform that the profile does not have.
    #[error("documents of launch measurements are for sev-snp, tdx and vsm, and not for {0}")]
    Platform(PlatformKind),
    /// It cannot be encoded.
    #[error("could not make the document")]
    Build(#[from] BuilderError),
}

/// Returns the document that says: a guest that is measured so has the security version `svn`. It is not signed.
///
/// The bytes are deterministic CBOR (RFC 8949, section 4.2.1) with tag 501.
///
/// # Errors
///
/// For platforms that the profile does not have.
pub fn corim(measured: &Measurement, svn: u64) -> Result<Vec<u8>, CorimError> {
    // The tags are version 5 UUIDs of these names, in the profile's name space 85f3f1c2-22a8-441e-a1b9-bccfb63ed5f7.
    let (vendor, model, tag, key, algorithm) = match measured.platform {
        PlatformKind::SevSnp => {
            ("AMD", "SEV-SNP", "77e8061e-4634-5e53-a848-d1d09e996843", "MEASUREMENT", SHA384)
        }
        PlatformKind::Tdx => ("Intel", "TDX", "e0510081-7b78-5b2a-97a6-d73d890e07b6", "MRTD", SHA384),
        PlatformKind::Vsm => {
            ("Microsoft", "VBS", "2e29068e-e0fa-59e6-b0ff-3bfe09132e13", "MEASUREMENT", SHA256)
        }
        other => return Err(CorimError::Platform(other)),
    };
    let class = ClassMap {
        class_id: None,
        vendor: Some(vendor.to_owned()),
        model: Some(model.to_owned()),
        layer: None,
        index: None,
    };
    let environment = EnvironmentMap { class: Some(class), instance: None, group: None };
    let of = |key: Option<&str>, mval| MeasurementMap {
        mkey: key.map(|key| MeasuredElement::Text(key.to_owned())),
        mval,
        authorized_by: None,
    };
    let digest = Digest::new(algorithm, measured.digest.bytes().to_vec());
    let launch = of(
        Some(key),
        MeasurementValuesMap { digests: Some(vec![digest]), ..MeasurementValuesMap::default() },
    );
    let version = of(
        None,
        MeasurementValuesMap { svn: Some(SvnChoice::ExactValue(svn)), ..MeasurementValuesMap::default() },
    );
    let endorsed = ConditionalSeriesRecord::new(vec![launch.clone()], vec![version]);
    let comid = ComidBuilder::new(TagIdChoice::Text(tag.to_owned()))
        .add_reference_triple(ReferenceTriple::new(environment.clone(), vec![launch]))
        .add_conditional_endorsement_series(ConditionalEndorsementSeriesTriple::new(
            CesCondition { environment, claims_list: Vec::new(), authorized_by: None },
            vec![endorsed],
        ))
        .build()?;
    let document = CorimBuilder::new(CorimId::Text(format!("{vendor}/{model}/launch-measurement")))
        .set_profile(ProfileChoice::Uri(PROFILE.to_owned()))
        .add_comid_tag(comid)?;
    Ok(document.build_bytes()?)
}
