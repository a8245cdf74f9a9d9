//! TLS on the public listener.

pub(crate) mod authority;
pub(crate) mod files;

use std::sync::Arc;
use std::time::Duration;

use daybook_model::spec::Tls;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::http::front::{self, Origin};
use crate::state::State;
use authority::Authority;

/// Takes TLS connections.
pub(crate) struct Terminator {
    acceptor: TlsAcceptor,
}

/// How long a handshake may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

impl Terminator {
    pub(crate) fn new(state: Arc<State>, authority: Arc<Authority>) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver { state, authority }));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    pub(crate) async fn serve(&self, state: Arc<State>, stream: TcpStream, origin: Origin) {
        let handshake = tokio::time::timeout(HANDSHAKE_WITHIN, self.acceptor.accept(stream)).await;
        if let Ok(Ok(stream)) = handshake {
            front::serve(state, stream, origin).await;
        }
    }
}

/// Chooses a certificate by the name that the client asks for.
struct Resolver {
    state: Arc<State>,
    authority: Arc<Authority>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // A client that names no host called an address; only a route for every host can be meant.
        let host = hello.server_name().unwrap_or("localhost");
        let live = self.state.live.load();
        let route = live.domains.of_host(host).into_iter().find(|route| route.tls != Tls::Off)?;
        match &route.tls {
            Tls::Off => None,
            Tls::Internal => self.authority.certificate(host),
            Tls::Files { cert, key } => live.files.get(cert, key),
        }
    }
}
