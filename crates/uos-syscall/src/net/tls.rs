//! TLS: who vouches for servers, and the handshake.

use std::{io, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{net::TcpStream, sync::OnceCell};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::dial::errno_of;
use crate::{Errno, Error, rights::Host};

/// How servers prove who they are.
#[derive(Default)]
pub(crate) struct Tls {
    /// Certificates of authorities, in DER, that are trusted in place of the host's.
    authorities: Option<Vec<Vec<u8>>>,
    /// Made when it is first needed: reading what the host trusts takes some tens of milliseconds.
    config: OnceCell<Arc<ClientConfig>>,
}

impl Tls {
    pub(crate) fn trusting(authorities: Option<Vec<Vec<u8>>>) -> Self {
        Self { authorities, config: OnceCell::new() }
    }

    /// Shakes hands with a server that must prove to be the host.
    pub(crate) async fn secure(&self, stream: TcpStream, host: &Host) -> Result<TlsStream<TcpStream>, Error> {
        let name = match host {
            Host::Address(address) => ServerName::from(*address),
            Host::Name(name) => ServerName::try_from(name.to_string())
                .map_err(|_| failed(host, Errno::EPROTO, &"the name can't be in a certificate"))?,
        };
        let config = self.config.get_or_try_init(|| self.configure()).await?;
        let connector = TlsConnector::from(Arc::clone(config));
        connector.connect(name, stream).await.map_err(|error| failed(host, errno_of(&error), &error))
    }

    async fn configure(&self) -> Result<Arc<ClientConfig>, Error> {
        let own = self.authorities.clone();
        let roots = tokio::task::spawn_blocking(move || match own {
            Some(own) => own.into_iter().map(CertificateDer::from).collect(),
            None => rustls_native_certs::load_native_certs().certs,
        });
        let certificates = roots.await.map_err(|error| Error::new(Errno::EIO, error.to_string()))?;
        let mut roots = RootCertStore::empty();
        let (taken, _) = roots.add_parsable_certificates(certificates);
        if taken == 0 {
            return Err(Error::at_stage(
                Errno::ENOTSUP,
                "tls".to_owned(),
                "this machine trusts no certificate authority, so no server can prove who it is",
            )
            .hint("install the host's package of certificates, `ca-certificates`"));
        }
        // Named here and not left to a default of the process, which whoever embeds the kernel may have set or not.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::new(Errno::EPROTO, error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

fn failed(host: &Host, errno: Errno, why: &impl ToString) -> Error {
    Error::at_stage(
        errno,
        format!("tls {host}"),
        format!("{host} could not prove who it is: {}", why.to_string()),
    )
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::new(errno_of(&error), error.to_string())
    }
}
