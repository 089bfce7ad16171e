//! A typed client for a uOS server: the argument message of a call goes in, its reply comes out.
//!
//! It does not know what a call does or who may make it; it carries calls, and the server's answers, over one gRPC
//! channel. Clones share the channel.
//!
//! ```no_run
//! # async fn example() -> Result<(), uos_client::Error> {
//! let operator = uos_client::Client::connect("http://127.0.0.1:7700", "the token").await?;
//! let made = operator.create_process(uos_proto::v1::CreateProcessRequest {
//!     grants: vec!["fs.write:/home/**".into()],
//!     ..Default::default()
//! }).await?;
//! let agent = operator.with_token(&made.token)?;
//! agent.call(uos_proto::v1::WriteFile { path: "/home/x".into(), data: "hello".into(), ..Default::default() }).await?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use uos_proto::v1::{
    self, Call, CreateProcessRequest, CreateProcessResponse, ExecuteRequest, call,
    execute_response::Result as Outcome, kernel_client::KernelClient, reply,
};

/// A connection to a server, as the holder of one token.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    kernel: KernelClient<InterceptedService<Channel, Bearer>>,
    pid: u64,
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The call failed, and this is the server's own word on why.
    #[error("{}: {}", .0.name, .0.message)]
    Call(Box<v1::Error>),
    /// The request did not get through, or the token is not good.
    #[error(transparent)]
    Status(Box<Status>),
    /// There is no server at the address.
    #[error(transparent)]
    Connect(#[from] tonic::transport::Error),
    /// The token can't be sent: it holds control characters.
    #[error("the token holds characters that a header can't")]
    Token,
    /// The answer is none to this call: the server speaks another contract.
    #[error("the server's answer does not belong to the call")]
    Mismatch,
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

impl From<v1::Error> for Error {
    fn from(error: v1::Error) -> Self {
        Self::Call(Box::new(error))
    }
}

/// Adds the token to each request.
#[derive(Clone, Debug)]
struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

impl Client {
    /// Connects to `http://HOST:PORT` with a token.
    pub async fn connect(url: &str, token: &str) -> Result<Self, Error> {
        let channel = Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true).connect().await?;
        Self::over(channel, token)
    }

    fn over(channel: Channel, token: &str) -> Result<Self, Error> {
        let mut bearer: MetadataValue<Ascii> = format!("Bearer {token}").parse().map_err(|_| Error::Token)?;
        bearer.set_sensitive(true);
        let kernel = KernelClient::with_interceptor(channel.clone(), Bearer(bearer));
        Ok(Self { channel, kernel, pid: 0 })
    }

    /// The same connection with another token, such as the one of a process just made.
    pub fn with_token(&self, token: &str) -> Result<Self, Error> {
        Self::over(self.channel.clone(), token)
    }

    /// The same with the operator's token, acting as another process.
    #[must_use]
    pub fn acting_as(&self, pid: u64) -> Self {
        Self { pid, ..self.clone() }
    }

    /// Makes a call.
    pub async fn call<R>(&self, request: R) -> Result<R::Reply, Error>
    where
        R: uos_proto::Request + Into<call::Call>,
        R::Reply: TryFrom<reply::Reply>,
    {
        self.execute(request.into(), None).await?.try_into().map_err(|_| Error::Mismatch)
    }

    /// Makes a call under an id, so that repeating it gives the first answer again.
    pub async fn call_once<R>(&self, request: R, request_id: &str) -> Result<R::Reply, Error>
    where
        R: uos_proto::Request + Into<call::Call>,
        R::Reply: TryFrom<reply::Reply>,
    {
        let reply = self.execute(request.into(), Some(request_id.to_owned())).await?;
        reply.try_into().map_err(|_| Error::Mismatch)
    }

    /// Makes a call that is only known at run time.
    pub async fn execute(&self, call: call::Call, request_id: Option<String>) -> Result<reply::Reply, Error> {
        let request = ExecuteRequest { pid: self.pid, call: Some(Call { call: Some(call) }), request_id };
        match self.kernel.clone().execute(request).await?.into_inner().result {
            Some(Outcome::Reply(reply)) => reply.reply.ok_or(Error::Mismatch),
            Some(Outcome::Error(error)) => Err(error.into()),
            None => Err(Error::Mismatch),
        }
    }

    /// Makes a process as a child of this client's.
    pub async fn create_process(
        &self,
        mut request: CreateProcessRequest,
    ) -> Result<CreateProcessResponse, Error> {
        if request.pid == 0 {
            request.pid = self.pid;
        }
        let mut response = self.kernel.clone().create_process(request).await?.into_inner();
        match response.error.take() {
            Some(error) => Err(error.into()),
            None => Ok(response),
        }
    }
}
