//! Actions and their results, as the Remote Execution API v2 names them.
//!
//! What is encoded here is what the key of a step is computed from, so the bytes must not change without
//! need: every changed byte is a rebuild of everything, everywhere.

use std::time::Duration;

use cas::{Digest, DigestMessage};
use prost::Message as _;
use serde::{Deserialize, Serialize};

use crate::graph::{OUTPUT_DIRECTORY, WORKING_DIRECTORY};
use crate::micros;
use crate::proto;
use crate::wire::Writer;

/// A command as it will be encoded: arguments, sorted environment, where it starts, what it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// The environment, sorted by name, names unique.
    pub environment: Vec<(String, String)>,
    /// Platform properties, sorted by name: what of [`crate::Requirements`] can change the outputs.
    pub platform: Vec<(String, String)>,
}

/// A command and the tree it runs in. Its digest is the key of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The digest of the encoded [`Command`].
    pub command: Digest,
    /// The digest of the root `Directory` of the input tree.
    pub input_root: Digest,
    /// The platform properties of the command: servers read them here or there, depending on their age.
    pub platform: Vec<(String, String)>,
}

/// What an action that ran left behind. A command that failed has a result too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionResult {
    /// The exit code of the command; 128 + the signal when one killed it.
    pub exit_code: i32,
    /// The digest of the root `Directory` of the output directory.
    pub output: Digest,
    /// What the command wrote to standard output and standard error, interleaved.
    pub log: Digest,
    /// What it cost.
    pub usage: Usage,
}

/// What running an action cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// From start to end.
    #[serde(rename = "wall_us", with = "micros")]
    pub wall: Duration,
    /// User and system time of all its processes.
    #[serde(rename = "cpu_us", with = "micros")]
    pub cpu: Duration,
    /// The peak of its resident memory in bytes, the largest process when the sum is not known.
    pub peak_memory: u64,
}

/// The bytes are not the message that they should be.
#[derive(Debug, thiserror::Error)]
#[error("no valid `{message}` message: {reason}")]
pub struct DecodeError {
    message: &'static str,
    reason: String,
}

/// `Command.output_directory_format`: a hierarchy of `Directory` messages, no `Tree`.
const DIRECTORY_ONLY: u64 = 1;
/// The type of [`proto::Usage`] in `ExecutedActionMetadata.auxiliary_metadata`.
const USAGE_TYPE: &str = "type.googleapis.com/bootwright.Usage";

impl Command {
    /// Returns the canonical encoding of the `Command` message.
    pub fn encode(&self) -> Vec<u8> {
        let mut buffer = Vec::new();
        let environment = self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        encode_command(&mut buffer, &self.arguments, environment, &borrowed(&self.platform));
        buffer
    }

    /// Returns the command that `bytes` encode.
    ///
    /// Fails when they are no `Command` message, or one that runs elsewhere or leaves something else than
    /// our commands do.
    pub fn decode(bytes: &[u8]) -> Result<Command, DecodeError> {
        let refuse = |reason: String| DecodeError { message: "Command", reason };
        let message = proto::Command::decode(bytes).map_err(|error| refuse(error.to_string()))?;
        if message.working_directory != WORKING_DIRECTORY {
            return Err(refuse(format!("it runs in `{}`", message.working_directory)));
        }
        if message.output_paths != [OUTPUT_DIRECTORY] {
            return Err(refuse(format!("its outputs are {:?}", message.output_paths)));
        }
        Ok(Command {
            arguments: message.arguments,
            environment: from_properties(message.environment_variables),
            platform: decode_platform(message.platform),
        })
    }
}

impl Action {
    /// Returns the canonical encoding of the `Action` message.
    pub fn encode(&self) -> Vec<u8> {
        let mut buffer = Vec::new();
        encode_action(&mut buffer, &self.command, &self.input_root, &borrowed(&self.platform));
        buffer
    }

    /// Returns the action that `bytes` encode.
    ///
    /// Fails when they are no `Action` message or a digest is missing or malformed.
    pub fn decode(bytes: &[u8]) -> Result<Action, DecodeError> {
        let refuse = |reason: String| DecodeError { message: "Action", reason };
        let message = proto::Action::decode(bytes).map_err(|error| refuse(error.to_string()))?;
        let digest = |message: Option<DigestMessage>, name: &str| {
            let digest = message.and_then(|message| message.digest());
            digest.ok_or_else(|| refuse(format!("its {name} is missing or malformed")))
        };
        Ok(Action {
            command: digest(message.command_digest, "command digest")?,
            input_root: digest(message.input_root_digest, "input root digest")?,
            platform: decode_platform(message.platform),
        })
    }
}

impl ActionResult {
    /// Returns the canonical encoding of the `ActionResult` message.
    ///
    /// The wall time is the virtual execution duration, since no clock time reaches us; what has no field
    /// in the API goes into the auxiliary metadata.
    pub fn encode(&self) -> Vec<u8> {
        let usage = proto::Usage { cpu_nanos: nanos(self.usage.cpu), peak_memory: self.usage.peak_memory };
        proto::ActionResult {
            output_directories: vec![proto::OutputDirectory {
                path: OUTPUT_DIRECTORY.to_owned(),
                root_directory_digest: Some((&self.output).into()),
            }],
            exit_code: self.exit_code,
            stdout_digest: Some((&self.log).into()),
            execution_metadata: Some(proto::ExecutedActionMetadata {
                execution_start_timestamp: None,
                execution_completed_timestamp: None,
                auxiliary_metadata: vec![proto::Any {
                    type_url: USAGE_TYPE.to_owned(),
                    value: usage.encode_to_vec(),
                }],
                virtual_execution_duration: Some(to_seconds(self.usage.wall)),
            }),
        }
        .encode_to_vec()
    }

    /// Returns the result that `bytes` encode: one of ours, or one of a server that was asked for our
    /// command. Without an output directory the output is empty, without a log the log is, and what a
    /// server does not measure is zero.
    ///
    /// Fails when they are no `ActionResult` message, name an output of which we know no root `Directory`,
    /// or a digest is malformed.
    pub fn decode(bytes: &[u8]) -> Result<ActionResult, DecodeError> {
        let refuse = |reason: String| DecodeError { message: "ActionResult", reason };
        let message = proto::ActionResult::decode(bytes).map_err(|error| refuse(error.to_string()))?;
        let output =
            match message.output_directories.into_iter().find(|output| output.path == OUTPUT_DIRECTORY) {
                None => Digest::of(b""),
                Some(output) => output
                    .root_directory_digest
                    .and_then(|message| message.digest())
                    .ok_or_else(|| refuse("the root of its output is missing or malformed".to_owned()))?,
            };
        let log = match message.stdout_digest {
            None => Digest::of(b""),
            Some(log) => {
                log.digest().ok_or_else(|| refuse("the digest of its log is malformed".to_owned()))?
            }
        };
        let usage = message.execution_metadata.map(decode_usage).unwrap_or_default();
        Ok(ActionResult { exit_code: message.exit_code, output, log, usage })
    }
}

fn decode_usage(metadata: proto::ExecutedActionMetadata) -> Usage {
    let span = || {
        let start = from_seconds(metadata.execution_start_timestamp?);
        from_seconds(metadata.execution_completed_timestamp?).checked_sub(start)
    };
    let wall = metadata.virtual_execution_duration.map(from_seconds).or_else(span).unwrap_or_default();
    let ours = metadata.auxiliary_metadata.iter().find(|any| any.type_url == USAGE_TYPE);
    let ours = ours.and_then(|any| proto::Usage::decode(any.value.as_slice()).ok()).unwrap_or_default();
    Usage { wall, cpu: Duration::from_nanos(ours.cpu_nanos), peak_memory: ours.peak_memory }
}

fn nanos(duration: Duration) -> u64 {
    // Steps that run for 584 years do not exist.
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn to_seconds(duration: Duration) -> proto::Seconds {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    proto::Seconds { seconds, nanos: duration.subsec_nanos() as i32 }
}

fn from_seconds(message: proto::Seconds) -> Duration {
    // Negative times mean nothing here; a server's clock that jumped back must not end the build.
    let seconds = u64::try_from(message.seconds).unwrap_or(0);
    let nanos = u32::try_from(message.nanos).unwrap_or(0).min(999_999_999);
    Duration::new(seconds, nanos)
}

/// Appends the encoded `Command` message.
pub(crate) fn encode_command<'e>(
    buffer: &mut Vec<u8>,
    arguments: &[String],
    environment: impl Iterator<Item = (&'e str, &'e str)>,
    platform: &[(&str, &str)],
) {
    let mut writer = Writer::new(buffer);
    for argument in arguments {
        writer.text(1, argument);
    }
    for (name, value) in environment {
        writer.pair(2, name, value);
    }
    writer.platform(5, platform);
    writer.text(6, WORKING_DIRECTORY);
    writer.text(7, OUTPUT_DIRECTORY);
    writer.number(9, DIRECTORY_ONLY);
}

/// Appends the encoded `Action` message.
pub(crate) fn encode_action(
    buffer: &mut Vec<u8>,
    command: &Digest,
    input_root: &Digest,
    platform: &[(&str, &str)],
) {
    let mut writer = Writer::new(buffer);
    writer.digest(1, command);
    writer.digest(2, input_root);
    writer.platform(10, platform);
}

fn borrowed(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn decode_platform(platform: Option<proto::Platform>) -> Vec<(String, String)> {
    platform.map(|platform| from_properties(platform.properties)).unwrap_or_default()
}

fn from_properties(properties: Vec<proto::Property>) -> Vec<(String, String)> {
    properties.into_iter().map(|property| (property.name, property.value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result() -> ActionResult {
        ActionResult {
            exit_code: 137,
            output: Digest::of(b"output"),
            log: Digest::of(b"log"),
            usage: Usage {
                wall: Duration::from_millis(1500),
                cpu: Duration::from_millis(2750),
                peak_memory: 123 << 20,
            },
        }
    }

    #[test]
    fn messages_come_back_as_they_went() {
        let command = Command {
            arguments: vec!["make".to_owned(), "-C".to_owned(), "src/linux".to_owned()],
            environment: vec![("LANG".to_owned(), "C".to_owned()), ("PATH".to_owned(), "/bin".to_owned())],
            platform: vec![("root".to_owned(), "true".to_owned())],
        };
        assert_eq!(Command::decode(&command.encode()).unwrap(), command);
        let action = Action {
            command: Digest::of(&command.encode()),
            input_root: Digest::of(b"root"),
            platform: command.platform.clone(),
        };
        assert_eq!(Action::decode(&action.encode()).unwrap(), action);
        assert_eq!(ActionResult::decode(&result().encode()).unwrap(), result());
    }

    #[test]
    fn keys_are_pinned() {
        let command = Command {
            arguments: vec!["tools/mkimg".to_owned(), "in/spec.json".to_owned()],
            environment: vec![("LANG".to_owned(), "C".to_owned())],
            platform: vec![("root".to_owned(), "true".to_owned())],
        };
        let action = Action {
            command: Digest::of(&command.encode()),
            input_root: Digest::of(b""),
            platform: command.platform.clone(),
        };
        assert_eq!(
            Digest::of(&command.encode()).to_string(),
            "9b18cc533fc2e36d7e2befe261e6ee917c4780d7c368fabd3fa13271447f7cca/68"
        );
        assert_eq!(
            Digest::of(&action.encode()).to_string(),
            "3c4119f112e8aacd7ba445c69b94e96e7de9bbdc456c3a52c6a9070a6002530e/154"
        );
    }

    #[test]
    fn result_of_a_server_needs_no_more_than_an_exit_code() {
        let decoded = ActionResult::decode(&[]).unwrap();
        let empty = Digest::of(b"");
        assert_eq!(
            decoded,
            ActionResult { exit_code: 0, output: empty, log: empty, usage: Usage::default() }
        );
    }

    #[test]
    fn wall_time_is_taken_from_timestamps_when_there_is_no_duration() {
        let at = |seconds| Some(proto::Seconds { seconds, nanos: 0 });
        let message = proto::ActionResult {
            execution_metadata: Some(proto::ExecutedActionMetadata {
                execution_start_timestamp: at(100),
                execution_completed_timestamp: at(107),
                ..Default::default()
            }),
            ..Default::default()
        };
        let decoded = ActionResult::decode(&message.encode_to_vec()).unwrap();
        assert_eq!(decoded.usage.wall, Duration::from_secs(7));
    }

    #[test]
    fn damaged_messages_are_refused() {
        #[track_caller]
        fn check<T: std::fmt::Debug>(decoded: Result<T, DecodeError>, expected: &str) {
            assert_eq!(decoded.unwrap_err().to_string(), expected);
        }
        check(Action::decode(b""), "no valid `Action` message: its command digest is missing or malformed");
        check(Command::decode(b""), "no valid `Command` message: it runs in ``");
        let upper = proto::ActionResult {
            stdout_digest: Some(DigestMessage { hash: Digest::of(b"").hex().to_uppercase(), size_bytes: 0 }),
            ..Default::default()
        };
        check(
            ActionResult::decode(&upper.encode_to_vec()),
            "no valid `ActionResult` message: the digest of its log is malformed",
        );
        assert!(ActionResult::decode(b"\x0a\xff").is_err());
    }
}
