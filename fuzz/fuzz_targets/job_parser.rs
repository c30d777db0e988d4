//! Any bytes are a job or a clear error, never a panic.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mcp_batch::job::Job;

fuzz_target!(|bytes: &[u8]| {
    match Job::parse(&Bytes::copy_from_slice(bytes)) {
        Ok(job) => {
            assert!(job.input().to_value().is_object());
            assert_eq!(job.payload_hash(), job.clone().payload_hash());
        }
        Err(invalid) => assert!(!invalid.error().message.is_empty()),
    }
});
