//! The gRPC service: from a message on the wire to a call in the kernel, and back.

use axum::{Router, http::HeaderMap};
use tonic::{Request, Response, Status, Streaming};
use tonic_web::GrpcWebLayer;
use tower_layer::Layer;
use uos_proto::v1::{
    self, CreateProcessRequest, CreateProcessResponse, ExecuteBatchRequest, ExecuteBatchResponse,
    ExecuteRequest, ExecuteResponse, execute_response,
    kernel_server::{Kernel as KernelService, KernelServer},
};
use uos_syscall::{Caller, Errno, Error, Kernel};

use crate::{gate::Identity, stream};

/// The longest message that is read.
const MESSAGE_BYTES: usize = 4 << 20;
/// The most calls in one batch.
const BATCH_CALLS: usize = 1_000;

/// The kernel service, health and reflection, each mounted by its path so that other paths stay HTTP's.
pub(crate) fn routes(kernel: Kernel) -> Router {
    let (reporter, health) = tonic_health::server::health_reporter();
    tokio::spawn(async move { reporter.set_serving::<KernelServer<Service>>().await });
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(uos_proto::DESCRIPTOR)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let built = "the descriptors were compiled with this program";
    let kernel = KernelServer::new(Service { kernel }).max_decoding_message_size(MESSAGE_BYTES);
    Router::new()
        .route_service("/uos.v1.Kernel/{*rpc}", GrpcWebLayer::new().layer(kernel))
        .route_service("/grpc.health.v1.Health/{*rpc}", GrpcWebLayer::new().layer(health))
        .route_service("/grpc.reflection.v1.ServerReflection/{*rpc}", reflection().build_v1().expect(built))
        .route_service(
            "/grpc.reflection.v1alpha.ServerReflection/{*rpc}",
            reflection().build_v1alpha().expect(built),
        )
}

/// Whether a request speaks gRPC or grpc-web.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(http::header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// The service.
#[derive(Clone)]
pub(crate) struct Service {
    kernel: Kernel,
}

#[tonic::async_trait]
impl KernelService for Service {
    async fn create_process(
        &self,
        request: Request<CreateProcessRequest>,
    ) -> Result<Response<CreateProcessResponse>, Status> {
        let session = self.session(&request)?;
        let request = request.into_inner();
        let made = match session.caller(request.pid) {
            Ok(caller) => self.kernel.create_process(&caller, request).await,
            Err(error) => Err(session.refused(&uos_proto::CREATE_PROCESS, error)),
        };
        Ok(Response::new(made.unwrap_or_else(|error| CreateProcessResponse {
            error: Some(error.into()),
            ..Default::default()
        })))
    }

    async fn execute(&self, request: Request<ExecuteRequest>) -> Result<Response<ExecuteResponse>, Status> {
        let session = self.session(&request)?;
        let ExecuteRequest { pid, call, request_id } = request.into_inner();
        Ok(Response::new(session.execute(pid, call, request_id.as_deref()).await))
    }

    async fn execute_batch(
        &self,
        request: Request<ExecuteBatchRequest>,
    ) -> Result<Response<ExecuteBatchResponse>, Status> {
        let session = self.session(&request)?;
        let ExecuteBatchRequest { pid, calls, stop_on_error } = request.into_inner();
        let mut response = ExecuteBatchResponse::default();
        if calls.len() > BATCH_CALLS {
            let error = Error::limit(Errno::EMSGSIZE, "batch_calls", calls.len() as u64, BATCH_CALLS as u64);
            response.error = Some(error.into());
            return Ok(Response::new(response));
        }
        if let Err(error) = session.caller(pid) {
            let first = calls.first().and_then(|call| call.call.as_ref());
            response.error = Some(match first {
                Some(call) => session.refused(call.info(), error).into(),
                None => error.into(),
            });
            return Ok(Response::new(response));
        }
        for call in calls {
            let result = session.execute(pid, Some(call), None).await;
            let failed = matches!(result.result, Some(execute_response::Result::Error(_)));
            response.results.push(result);
            if failed && stop_on_error {
                break;
            }
        }
        Ok(Response::new(response))
    }

    type StreamStream = stream::Answers;

    async fn stream(
        &self,
        request: Request<Streaming<v1::StreamRequest>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let session = self.session(&request)?;
        Ok(Response::new(stream::start(session, request.into_inner())))
    }
}

impl Service {
    /// Who sent a request. The gate has put it there; a request that came around the gate gets nowhere.
    fn session<T>(&self, request: &Request<T>) -> Result<Session, Status> {
        let identity = request.extensions().get::<Identity>().cloned();
        let identity =
            identity.ok_or_else(|| Status::unauthenticated("the request has not passed the gate"))?;
        Ok(Session { kernel: self.kernel.clone(), identity })
    }
}

/// One channel's requests, all by the same identity.
#[derive(Clone)]
pub(crate) struct Session {
    kernel: Kernel,
    identity: Identity,
}

impl Session {
    fn caller(&self, pid: u64) -> Result<Caller, Error> {
        self.identity.caller(&self.kernel, pid)
    }

    fn refused(&self, call: &'static uos_proto::CallInfo, error: Error) -> Error {
        self.identity.refused(&self.kernel, call, error)
    }

    /// Makes one call.
    pub(crate) async fn execute(
        &self,
        pid: u64,
        call: Option<v1::Call>,
        request_id: Option<&str>,
    ) -> ExecuteResponse {
        let result = self.invoke(pid, call, request_id).await;
        let result = match result {
            Ok(reply) => execute_response::Result::Reply(v1::Reply { reply: Some(reply) }),
            Err(error) => execute_response::Result::Error(error.into()),
        };
        ExecuteResponse { result: Some(result) }
    }

    pub(crate) async fn invoke(
        &self,
        pid: u64,
        call: Option<v1::Call>,
        request_id: Option<&str>,
    ) -> Result<v1::reply::Reply, Error> {
        let call = call.and_then(|call| call.call).ok_or_else(|| {
            Error::new(Errno::ENOSYS, "the request holds no call, or one that this server doesn't know")
                .hint("server reflection lists the calls")
        })?;
        let caller = self.caller(pid).map_err(|error| self.refused(call.info(), error))?;
        match request_id {
            None => self.kernel.invoke(&caller, call).await,
            Some(id) => self.kernel.invoke_once(&caller, call, id).await,
        }
    }
}
