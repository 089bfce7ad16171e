//! `Execute` over gRPC beside a bare tonic service that answers the same messages: what gate, kernel and audit cost.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming, transport::Endpoint};
use uos_proto::v1::{
    self, ExecuteRequest, ExecuteResponse, execute_response,
    kernel_client::KernelClient,
    kernel_server::{Kernel, KernelServer},
};
use uos_server::{Config, Server};

use crate::{
    Result,
    report::{Measurement, summary},
};

const IN_FLIGHT: usize = 64;
const ROUNDS: usize = 21;
pub(crate) const ROUND: Duration = Duration::from_millis(400);

/// Calls a second with 64 in flight, over one connection and over eight.
pub(crate) fn measure() -> Result<Vec<Measurement>> {
    let server = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let dir = tempfile::tempdir()?;
    let mut config = Config::new(dir.path());
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let (ours, token, peer) = server.block_on(async {
        let ours = Server::start(config).await?;
        let (address, token) = (ours.address(), ours.token().to_owned());
        tokio::spawn(ours.serve(std::future::pending()));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let peer = listener.local_addr()?;
        let echo = tonic::transport::Server::builder().tcp_nodelay(true).add_service(KernelServer::new(Echo));
        tokio::spawn(echo.serve_with_incoming(TcpListenerStream::new(listener)));
        Ok::<_, Box<dyn std::error::Error>>((address, token, peer))
    })?;

    let client = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let all = client.block_on(async {
        let mut all = Vec::new();
        for (name, connections) in
            [("Execute, 64 in flight, 1 connection", 1), ("Execute, 64 in flight, 8 connections", 8)]
        {
            let ours = connect(ours, connections).await?;
            let peer = connect(peer, connections).await?;
            let (mut us, mut them) = (Vec::new(), Vec::new());
            for round in 0..=ROUNDS {
                let (our, their) = (rate(&ours, &token).await?, rate(&peer, &token).await?);
                // The first round warms both up.
                if round > 0 {
                    us.push(our);
                    them.push(their);
                }
            }
            let ((ours_best, ours), (peer_best, peer)) = (summary(us, false), summary(them, false));
            all.push(Measurement::new(
                name,
                "calls/s",
                (ours_best, ours),
                ("bare tonic", (peer_best, peer)),
                ours / peer,
                ("≥ 0.9".into(), ours / peer >= 0.9),
                ROUNDS,
            ));
        }
        Ok::<_, Box<dyn std::error::Error>>(all)
    })?;
    server.shutdown_background();
    Ok(all)
}

pub(crate) type Client = KernelClient<tonic::transport::Channel>;

pub(crate) async fn connect(address: SocketAddr, connections: usize) -> Result<Vec<Client>> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect().await?;
        clients.push(KernelClient::new(channel));
    }
    Ok(clients)
}

/// Calls a second of one round, one call a message.
async fn rate(clients: &[Client], token: &str) -> Result<f64> {
    unary(clients, token, IN_FLIGHT).await
}

/// The same with so many in flight.
pub(crate) async fn unary(clients: &[Client], token: &str, in_flight: usize) -> Result<f64> {
    let begun = Instant::now();
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..in_flight {
        let mut client = clients[worker % clients.len()].clone();
        let bearer: tonic::metadata::MetadataValue<_> = format!("Bearer {token}").parse()?;
        workers.spawn(async move {
            let mut calls = 0_u64;
            while begun.elapsed() < ROUND {
                let mut request = Request::new(ExecuteRequest {
                    pid: 0,
                    call: Some(v1::Call { call: Some(v1::GetUptime {}.into()) }),
                    request_id: None,
                });
                request.metadata_mut().insert("authorization", bearer.clone());
                let answer = client.execute(request).await?.into_inner();
                if !matches!(answer.result, Some(execute_response::Result::Reply(_))) {
                    return Err(Status::internal("the call failed"));
                }
                calls += 1;
            }
            Ok(calls)
        });
    }
    let mut calls = 0;
    while let Some(done) = workers.join_next().await {
        calls += done??;
    }
    Ok(calls as f64 / begun.elapsed().as_secs_f64())
}

/// A service that answers every call with the same reply.
struct Echo;

#[tonic::async_trait]
impl Kernel for Echo {
    async fn execute(
        &self,
        request: Request<ExecuteRequest>,
    ) -> std::result::Result<Response<ExecuteResponse>, Status> {
        let uptime_us = request.into_inner().pid;
        let reply = v1::Reply { reply: Some(v1::GetUptimeReply { uptime_us }.into()) };
        Ok(Response::new(ExecuteResponse { result: Some(execute_response::Result::Reply(reply)) }))
    }

    async fn create_process(
        &self,
        _: Request<v1::CreateProcessRequest>,
    ) -> std::result::Result<Response<v1::CreateProcessResponse>, Status> {
        Err(Status::unimplemented("the peer only echoes"))
    }

    async fn execute_batch(
        &self,
        _: Request<v1::ExecuteBatchRequest>,
    ) -> std::result::Result<Response<v1::ExecuteBatchResponse>, Status> {
        Err(Status::unimplemented("the peer only echoes"))
    }

    type StreamStream = tokio_stream::Empty<std::result::Result<v1::StreamResponse, Status>>;

    async fn stream(
        &self,
        _: Request<Streaming<v1::StreamRequest>>,
    ) -> std::result::Result<Response<Self::StreamStream>, Status> {
        Err(Status::unimplemented("the peer only echoes"))
    }
}
