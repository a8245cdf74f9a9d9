//! TLS on the public listener, and for what else of this program listens.

pub(crate) mod authority;
pub(crate) mod files;
pub(crate) mod from_files;

use std::sync::Arc;
use std::time::Duration;

use daybook_model::spec::Tls;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

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
        Ok(Self { acceptor: acceptor(Arc::new(Resolver { state, authority }))? })
    }

    pub(crate) async fn serve(&self, state: Arc<State>, stream: TcpStream, origin: Origin) {
        if let Some(stream) = shake_hands(&self.acceptor, stream).await {
            front::serve(state, stream, origin).await;
        }
    }
}

/// What speaks HTTP over TLS with the certificates of a resolver.
fn acceptor(certificates: Arc<dyn ResolvesServerCert>) -> Result<TlsAcceptor, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// `None` for a client that does not understand us, or is too slow.
async fn shake_hands(acceptor: &TlsAcceptor, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await.ok()?.ok()
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
