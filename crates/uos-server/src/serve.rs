//! Starting, serving, stopping.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, body::Body, response::Response};
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};
use tower::ServiceExt;
use tracing::{info, warn};
use uos_proc::LinuxSpawner;
use uos_syscall::{Event, Kernel, Limits, Observer, Pid, audit::Overflow, namespace};

use crate::{
    Config, Error,
    audit::AuditFile,
    config::AuditOverflow,
    data_dir::DataDir,
    desktop::Desktop,
    events::Hub,
    gate::Gate,
    http::{Http, Transfers, refusal, routes},
    login::Logins,
    random_id,
    store::Store,
};

/// How long requests under way may take once the server is told to stop, processes' ends included.
const DRAIN: Duration = Duration::from_millis(4_000);
/// How long the last audit records may take after that.
const LAST_RECORDS: Duration = Duration::from_millis(500);
/// How long a client may take over its request head.
const HEAD: Duration = Duration::from_secs(15);
/// Requests at the same time on one connection.
const STREAMS: u32 = 1_024;
/// How often histograms are brought up to date when nobody asks for them.
const UPKEEP: Duration = Duration::from_secs(5);

/// Where the namespace has a folder that is kept on the disk, in the data directory. The rest of `/home` is memory.
const KEPT: &str = "/home/files";

/// A server that has everything it needs and listens, but does not serve yet.
pub struct Server {
    listener: TcpListener,
    kernel: Kernel,
    gate: Arc<Gate>,
    app: Router,
    ready: Arc<AtomicBool>,
    metrics: metrics_exporter_prometheus::PrometheusHandle,
    token: String,
    hub: Hub,
    logins: Logins,
    /// Notes which apps' processes end.
    ends: JoinHandle<()>,
    /// Ends when everything that was to be written is.
    writer: JoinHandle<()>,
    /// Held until the end: the directory is ours.
    _data: DataDir,
}

/// Serves until SIGTERM or SIGINT.
pub async fn run(config: Config) -> Result<(), Error> {
    take_all_descriptors();
    let server = Server::start(config).await?;
    let stop = stop_signal().map_err(Error::io("can't wait for signals"))?;
    println!("listening on http://{}", server.address());
    println!("log in, once and within five minutes: {}", server.login_link());
    server.serve(stop).await;
    Ok(())
}

/// Raises the number of files that may be open to what the host lets this process have: each program that runs takes about
/// a dozen, and the usual bound is a thousand. Where that fails, fewer programs run at the same time.
fn take_all_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

impl Server {
    /// Takes the data directory, starts the kernel, listens.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let own_token = std::env::var("UOS_TOKEN").ok().filter(|token| !token.is_empty());
        if own_token.as_ref().is_some_and(|token| token.len() < 16) {
            return Err(Error::Config("UOS_TOKEN is shorter than 16 bytes: too easy to guess".into()));
        }
        if !config.listen.ip().is_loopback() && own_token.is_none() {
            return Err(Error::Exposed(config.listen));
        }
        let mut data = DataDir::take(&config.data_dir)?;
        let token = match own_token {
            Some(token) => token,
            None => data.token()?,
        };
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(Error::io(format!("can't listen on {}", config.listen)))?;
        let address = listener.local_addr().map_err(Error::io("can't tell the address"))?;
        data.sign(&format!("uos-server, process {}, listening on http://{address}", std::process::id()))
            .map_err(Error::io("can't sign the data directory"))?;

        let store = Store::open(&data.join("uos.db")).await?;
        let (audit, metrics) =
            AuditFile::open(data.join("audit.log")).map_err(Error::io("can't open the audit file"))?;
        let hub = Hub::new(random_id());
        let (ended, has_ended) = mpsc::unbounded_channel();
        let kernel = start_kernel(&config, &data, audit, Watcher { hub: hub.clone(), ended })?;
        let (desktop, logins, writer) = Desktop::wake(store, kernel.clone(), hub.clone()).await;
        let writer = tokio::spawn(writer);
        let ends = tokio::spawn(follow_ends(desktop.clone(), has_ended));
        let ready = Arc::new(AtomicBool::new(true));
        let app = routes(Http {
            kernel: kernel.clone(),
            desktop,
            hub: hub.clone(),
            logins: logins.clone(),
            metrics: metrics.clone(),
            ready: Arc::clone(&ready),
            address,
            data_dir_name: data.name().into(),
            started: Instant::now(),
            transfers: Transfers::default(),
        });
        let ip = address.ip();
        let own_name = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
        let hosts = config.allowed_hosts.iter().cloned().chain((!ip.is_unspecified()).then_some(own_name));
        let gate = Gate::new(kernel.clone(), token.clone(), logins.clone(), address.port(), hosts);
        let gate = Arc::new(gate);
        Ok(Self {
            listener,
            kernel,
            gate,
            app,
            ready,
            metrics,
            token,
            hub,
            logins,
            ends,
            writer,
            _data: data,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        // It was asked when the socket was bound.
        self.listener.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    /// The operator's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A link that logs a browser in, once and for five minutes.
    pub fn login_link(&self) -> String {
        format!("http://{}/login?ticket={}", self.address(), self.logins.ticket())
    }

    /// The kernel it serves.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Serves until `stop` is ready, then drains and ends all processes.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .keep_alive_interval(Some(Duration::from_secs(30)))
            .keep_alive_timeout(Duration::from_secs(20));
        let upkeep = tokio::spawn({
            let metrics = self.metrics.clone();
            async move {
                loop {
                    tokio::time::sleep(UPKEEP).await;
                    metrics.run_upkeep();
                }
            }
        });
        let connections = GracefulShutdown::new();
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, _)) => self.connect(&builder, &connections, stream),
                Err(error) => {
                    // Out of descriptors, most likely: let some connections end before trying again.
                    warn!(%error, "can't accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        info!("stopping");
        self.ready.store(false, Ordering::Release);
        drop(self.listener);
        self.hub.close();
        let drain = async { tokio::join!(self.kernel.shut_down(), connections.shutdown()) };
        if tokio::time::timeout(DRAIN, drain).await.is_err() {
            warn!("some requests were cut off");
        }
        upkeep.abort();
        // With the last route its door closes, and the writer ends once what waits is written.
        drop(self.app);
        self.ends.abort();
        if tokio::time::timeout(LAST_RECORDS, self.writer).await.is_err() {
            warn!("the database was not closed; what was acknowledged is in it");
        }
        let kernel = self.kernel.clone();
        // The last records belong in the file before the process ends, unless the disk takes no more.
        let flushed = tokio::task::spawn_blocking(move || kernel.audit().flush_within(LAST_RECORDS)).await;
        if !flushed.unwrap_or(false) {
            warn!("the last audit records could not be written");
        }
    }

    fn connect(
        &self,
        builder: &auto::Builder<TokioExecutor>,
        connections: &GracefulShutdown,
        stream: TcpStream,
    ) {
        // Answers are small and should not wait for company; without this a lost delayed ACK costs 40 ms.
        if let Err(error) = stream.set_nodelay(true) {
            warn!(%error, "can't set TCP_NODELAY");
        }
        let (gate, app) = (Arc::clone(&self.gate), self.app.clone());
        let service =
            service_fn(move |request: Request<Incoming>| answer(Arc::clone(&gate), app.clone(), request));
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            // A client that breaks off is its own business.
            let _ = connection.await;
        });
    }
}

async fn answer(
    gate: Arc<Gate>,
    app: Router,
    mut request: Request<Incoming>,
) -> Result<Response, Infallible> {
    match gate.admit(&request) {
        Ok(Some(identity)) => drop(request.extensions_mut().insert(identity)),
        Ok(None) => {}
        Err(why) => return Ok(refusal(why, request.headers())),
    }
    app.oneshot(request.map(Body::new)).await
}

/// Puts what the kernel tells into the stream of events, and passes on which processes end.
struct Watcher {
    hub: Hub,
    ended: mpsc::UnboundedSender<Pid>,
}

impl Observer for Watcher {
    fn event(&self, event: &Event) {
        self.hub.event(event);
        if let Event::ProcessEnded { pid, .. } = event {
            // Nobody listens any more when the server has stopped.
            let _ = self.ended.send(*pid);
        }
    }
}

async fn follow_ends(desktop: Desktop, mut ended: mpsc::UnboundedReceiver<Pid>) {
    while let Some(pid) = ended.recv().await {
        desktop.process_ended(pid).await;
    }
}

fn start_kernel(
    config: &Config,
    data: &DataDir,
    audit: AuditFile,
    watcher: Watcher,
) -> Result<Kernel, Error> {
    let capacity = namespace::Capacity { home_bytes: config.home_bytes, tmp_bytes: config.tmp_bytes };
    let mounts = namespace::standard(capacity).map_err(Error::io("can't make the namespace"))?;
    for mount in &config.mounts {
        namespace::mount_host(&mounts, &mount.at, &mount.host, mount.read_only).map_err(|error| {
            Error::Config(format!("can't mount {} at {}: {error}", mount.host.display(), mount.at))
        })?;
    }
    let files = data.folder("files")?;
    // The directory is ours alone: who was making these is dead.
    match namespace::remove_unfinished(&files) {
        Ok(0) => {}
        Ok(count) => info!(count, "removed files that were on their way when the server was killed"),
        Err(error) => {
            warn!(%error, "not all of what was on its way when the server was killed could be removed");
        }
    }
    namespace::mount_host(&mounts, KEPT, &files, false).map_err(Error::io("can't mount the kept files"))?;
    let spawner = LinuxSpawner::new().map_err(Error::io("can't start the spawner"))?;
    let overflow = match config.audit_overflow {
        AuditOverflow::Wait => Overflow::Wait,
        AuditOverflow::Drop => Overflow::Drop,
    };
    let patience = Duration::from_secs(config.ask_patience_s);
    let limits = Limits { right_request_patience: patience, ..Limits::default() };
    let kernel =
        Kernel::builder(mounts, spawner).audit_with(audit, overflow).limits(limits).observer(watcher).start();
    kernel.map_err(|error| Error::Config(error.to_string()))
}

fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
