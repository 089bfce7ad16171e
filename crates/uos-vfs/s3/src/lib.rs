//! An S3 server in this process: s3s speaks HTTP, judges signatures and reads requests; what it keeps is here.

#![forbid(unsafe_code)]

mod bucket;

use bucket::Bucket;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use opendal::{HttpTransporter, OperationContext, Operator, services};
use opendal_http_transport_reqwest::ReqwestTransport;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use std::error::Error;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub(crate) const BUCKET: &str = "bucket";
const KEYS: [&str; 2] = ["an access key", "and its secret"];

/// A server with one bucket, on a port of its own, until it is dropped.
pub struct Server {
    at: SocketAddr,
    bucket: Bucket,
    runtime: Option<Runtime>,
}

impl Server {
    /// Starts it, with nothing in it.
    pub fn start() -> Result<Self, Box<dyn Error>> {
        let bucket = Bucket::default();
        let mut service = S3ServiceBuilder::new(bucket.clone());
        service.set_auth(SimpleAuth::from_single(KEYS[0], KEYS[1]));
        let service = service.build();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let at = listener.local_addr()?;
        runtime.spawn(async move {
            let server = Builder::new(TokioExecutor::new());
            while let Ok((socket, _)) = listener.accept().await {
                let connection = server.serve_connection(TokioIo::new(socket), service.clone()).into_owned();
                tokio::spawn(async move { drop(connection.await) });
            }
        });
        Ok(Server { at, bucket, runtime: Some(runtime) })
    }

    /// Somebody who may use it; with another secret, somebody who may not.
    pub fn operator(&self, secret: Option<&str>) -> opendal::Result<Operator> {
        let service = services::S3::default()
            .endpoint(&format!("http://{}", self.at))
            .bucket(BUCKET)
            .region("us-east-1")
            .access_key_id(KEYS[0])
            .secret_access_key(secret.unwrap_or(KEYS[1]))
            .disable_config_load()
            .disable_ec2_metadata();
        let transport = HttpTransporter::new(ReqwestTransport::default());
        Ok(Operator::new(service)?.with_context(OperationContext::new().with_http_transport(transport)))
    }

    /// What an object holds.
    pub fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.bucket.get(key).map(|(data, _)| data.to_vec())
    }

    /// How many uploads in parts have begun and have not come to an end.
    pub fn uploads(&self) -> usize {
        self.bucket.uploads()
    }

    /// Answers nobody any more.
    pub fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
