//! The other ways to make calls over gRPC beside one call a message: a stream of calls, and calls by the hundred.

use std::{net::SocketAddr, time::Instant};

use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{Request, metadata::MetadataValue};
use uos_proto::v1::{
    self, ExecuteBatchRequest, StreamRequest, execute_response, stream_request, stream_response,
};
use uos_server::{Config, Server};

use crate::{
    Result,
    echo::{Client, ROUND, connect, unary},
    report::{Measurement, summary},
};

const IN_FLIGHT: usize = 256;
const BATCH: usize = 100;
const ROUNDS: usize = 15;

/// Calls a second of both, beside calls that each have a message of their own, on one connection each.
pub(crate) fn measure() -> Result<Vec<Measurement>> {
    let server = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let dir = tempfile::tempdir()?;
    let mut config = Config::new(dir.path());
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let (address, token) = server.block_on(async {
        let ours = Server::start(config).await?;
        let at = (ours.address(), ours.token().to_owned());
        tokio::spawn(ours.serve(std::future::pending()));
        Ok::<_, Box<dyn std::error::Error>>(at)
    })?;
    let client = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let all = client.block_on(async {
        let clients = connect(address, 1).await?;
        let [mut streamed, mut single, mut batched, mut one] = [const { Vec::new() }; 4];
        for round in 0..=ROUNDS {
            let rates = [
                stream(&clients[0], &token).await?,
                unary(&clients, &token, IN_FLIGHT).await?,
                batch(&clients[0], &token).await?,
                unary(&clients, &token, 1).await?,
            ];
            // The first round warms all up.
            if round > 0 {
                for (all, rate) in [&mut streamed, &mut single, &mut batched, &mut one].into_iter().zip(rates)
                {
                    all.push(rate);
                }
            }
        }
        let row = |name, ours: Vec<f64>, peer: Vec<f64>, peer_name, least: f64| {
            let ((ours_best, ours), (peer_best, peer)) = (summary(ours, false), summary(peer, false));
            let (ratio, target) = (ours / peer, format!("≥ {least} ×"));
            let (holds, n, unit) = (ratio >= least, ROUNDS, "calls/s");
            Measurement::new(
                name,
                unit,
                (ours_best, ours),
                (peer_name, (peer_best, peer)),
                ratio,
                (target, holds),
                n,
            )
        };
        Ok::<_, Box<dyn std::error::Error>>(vec![
            row("Stream, 256 in flight", streamed, single, "Execute, 256 in flight", 4.0),
            row("ExecuteBatch of 100, one by one", batched, one, "Execute, one by one", 15.0),
        ])
    })?;
    server.shutdown_background();
    Ok(all)
}

fn call() -> v1::Call {
    v1::Call { call: Some(v1::GetUptime {}.into()) }
}

fn with_token<T>(message: T, token: &str) -> Result<Request<T>> {
    let mut request = Request::new(message);
    let bearer: MetadataValue<_> = format!("Bearer {token}").parse()?;
    request.metadata_mut().insert("authorization", bearer);
    Ok(request)
}

/// Calls a second of one round over one stream: each answer lets the next call go.
async fn stream(client: &Client, token: &str) -> Result<f64> {
    let (calls, sent) = mpsc::channel(IN_FLIGHT);
    let next = |id| StreamRequest { id, pid: 0, action: Some(stream_request::Action::Call(call())) };
    for id in 0..IN_FLIGHT as u64 {
        calls.send(next(id)).await?;
    }
    let begun = Instant::now();
    let mut answers =
        client.clone().stream(with_token(ReceiverStream::new(sent), token)?).await?.into_inner();
    let (mut answered, mut open) = (0_u64, IN_FLIGHT);
    while open > 0 {
        let answer = answers.next().await.ok_or("the stream ended")??;
        if !matches!(answer.result, Some(stream_response::Result::Reply(_))) {
            return Err("the call failed".into());
        }
        answered += 1;
        if begun.elapsed() < ROUND {
            calls.send(next(answer.id)).await?;
        } else {
            open -= 1;
        }
    }
    Ok(answered as f64 / begun.elapsed().as_secs_f64())
}

/// Calls a second of one round, by the hundred.
async fn batch(client: &Client, token: &str) -> Result<f64> {
    let mut client = client.clone();
    let (begun, mut answered) = (Instant::now(), 0_u64);
    while begun.elapsed() < ROUND {
        let message = ExecuteBatchRequest { pid: 0, calls: vec![call(); BATCH], stop_on_error: false };
        let answer = client.execute_batch(with_token(message, token)?).await?.into_inner();
        let replies = answer.results.iter();
        let done = replies.filter(|it| matches!(it.result, Some(execute_response::Result::Reply(_)))).count();
        if done != BATCH {
            return Err("a call failed".into());
        }
        answered += BATCH as u64;
    }
    Ok(answered as f64 / begun.elapsed().as_secs_f64())
}
