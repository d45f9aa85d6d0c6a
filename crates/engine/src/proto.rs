//! The messages of the Remote Execution API v2 that name actions and results, as far as we use them.
//!
//! Field numbers are those of `build/bazel/remote/execution/v2/remote_execution.proto`. They are declared
//! here instead of taken from a crate because the one that has them brings a gRPC stack along. Everything
//! that another client may have set and we do not read is ignored when decoding.

use cas::DigestMessage;
use prost::Message;

/// Names and values: `EnvironmentVariable` and `Platform.Property` have the same shape.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Property {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Platform {
    #[prost(message, repeated, tag = "1")]
    pub(crate) properties: Vec<Property>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Command {
    #[prost(string, repeated, tag = "1")]
    pub(crate) arguments: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) environment_variables: Vec<Property>,
    #[prost(message, optional, tag = "5")]
    pub(crate) platform: Option<Platform>,
    #[prost(string, tag = "6")]
    pub(crate) working_directory: String,
    #[prost(string, repeated, tag = "7")]
    pub(crate) output_paths: Vec<String>,
    #[prost(int32, tag = "9")]
    pub(crate) output_directory_format: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Action {
    #[prost(message, optional, tag = "1")]
    pub(crate) command_digest: Option<DigestMessage>,
    #[prost(message, optional, tag = "2")]
    pub(crate) input_root_digest: Option<DigestMessage>,
    #[prost(message, optional, tag = "10")]
    pub(crate) platform: Option<Platform>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct OutputDirectory {
    #[prost(string, tag = "1")]
    pub(crate) path: String,
    #[prost(message, optional, tag = "5")]
    pub(crate) root_directory_digest: Option<DigestMessage>,
}

/// `google.protobuf.Timestamp` and `google.protobuf.Duration` have the same shape.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Seconds {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Any {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExecutedActionMetadata {
    #[prost(message, optional, tag = "7")]
    pub(crate) execution_start_timestamp: Option<Seconds>,
    #[prost(message, optional, tag = "8")]
    pub(crate) execution_completed_timestamp: Option<Seconds>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) auxiliary_metadata: Vec<Any>,
    #[prost(message, optional, tag = "12")]
    pub(crate) virtual_execution_duration: Option<Seconds>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ActionResult {
    #[prost(message, repeated, tag = "3")]
    pub(crate) output_directories: Vec<OutputDirectory>,
    #[prost(int32, tag = "4")]
    pub(crate) exit_code: i32,
    #[prost(message, optional, tag = "6")]
    pub(crate) stdout_digest: Option<DigestMessage>,
    #[prost(message, optional, tag = "9")]
    pub(crate) execution_metadata: Option<ExecutedActionMetadata>,
}

/// Our own message: what an action used, where the API has no field for it.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Usage {
    #[prost(uint64, tag = "1")]
    pub(crate) cpu_nanos: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) peak_memory: u64,
}
