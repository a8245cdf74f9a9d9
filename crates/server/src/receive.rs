//! Where other tools tell of alerts: over TLS, wherever others could listen.

use std::net::SocketAddr;
use std::path::PathBuf;

#[cfg(feature = "observe")]
pub(crate) use listen::listen;

/// An address at which other tools may tell of alerts. What proves that they may does not pass there in clear.
#[derive(Debug, Clone)]
pub struct Receive {
    address: SocketAddr,
    certificate: Option<Certificate>,
}

/// A certificate in files, in PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate, and those that lead to its authority.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Receive {
    /// With TLS where there is a certificate.
    ///
    /// # Errors
    /// There is none, and other machines reach the address: what is wrong and what to do, in words.
    pub fn new(address: SocketAddr, certificate: Option<Certificate>) -> Result<Self, String> {
        if certificate.is_none() && !address.ip().is_loopback() {
            return Err(format!(
                "--receive {address} can be reached by others, and keys would pass there in clear: \
                 give --receive-cert and --receive-key, or take 127.0.0.1 and put a proxy with TLS before it"
            ));
        }
        Ok(Self { address, certificate })
    }

    /// Where.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What TLS is spoken with.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }
}

#[cfg(feature = "observe")]
mod listen {
    use std::io;
    use std::net::SocketAddr;
    use std::sync::Arc;

    use axum::serve::Listener;
    use daybook_edge::{FileTls, TlsStream};
    use tokio::net::TcpListener;
    use tokio::sync::{Semaphore, mpsc};

    use super::Receive;
    use crate::App;

    /// Clients that begin to speak TLS at once; others wait.
    const MOST_HANDSHAKES: usize = 256;

    /// Takes in what other tools tell of: each of them proves with a key or a signature that it may.
    ///
    /// # Errors
    /// The address cannot be had, or the certificate cannot be used.
    pub(crate) async fn listen(app: &App, receive: &Receive) -> io::Result<impl Future<Output = ()> + Send + 'static> {
        let address = receive.address();
        let tls = receive.certificate().map(|files| FileTls::open(&files.cert, &files.key)).transpose();
        let tls = tls.map_err(io::Error::other)?;
        let listener = TcpListener::bind(address).await?;
        let routes = crate::observe::receiving().with_state(app.clone());
        Ok(async move {
            let served = match tls {
                Some(tls) => axum::serve(Encrypted::new(listener, tls, address), routes).await,
                None => axum::serve(listener, routes).await,
            };
            if let Err(error) = served {
                tracing::error!(%error, %address, "nothing is received there any more");
            }
        })
    }

    /// Connections that speak TLS by now.
    struct Encrypted {
        ready: mpsc::Receiver<(TlsStream, SocketAddr)>,
        address: SocketAddr,
    }

    impl Encrypted {
        fn new(listener: TcpListener, tls: FileTls, address: SocketAddr) -> Self {
            let (to, ready) = mpsc::channel(1);
            tokio::spawn(accept(listener, Arc::new(tls), to));
            Self { ready, address }
        }
    }

    /// Accepts until nobody takes connections any more. A client that is slow keeps no other waiting.
    async fn accept(mut listener: TcpListener, tls: Arc<FileTls>, to: mpsc::Sender<(TlsStream, SocketAddr)>) {
        let places = Arc::new(Semaphore::new(MOST_HANDSHAKES));
        loop {
            let place = places.clone().acquire_owned().await.expect("it is never closed");
            let (stream, peer) = tokio::select! {
                accepted = Listener::accept(&mut listener) => accepted,
                () = to.closed() => return,
            };
            let (tls, to) = (tls.clone(), to.clone());
            tokio::spawn(async move {
                if let Some(stream) = tls.accept(stream).await {
                    // Fails only where nobody takes it any more.
                    let _ = to.send((stream, peer)).await;
                }
                drop(place);
            });
        }
    }

    impl Listener for Encrypted {
        type Io = TlsStream;
        type Addr = SocketAddr;

        async fn accept(&mut self) -> (TlsStream, SocketAddr) {
            match self.ready.recv().await {
                Some(accepted) => accepted,
                // Whoever accepts ends only after this.
                None => std::future::pending().await,
            }
        }

        fn local_addr(&self) -> io::Result<SocketAddr> {
            Ok(self.address)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_pass_in_clear_on_this_machine_alone() {
        let address = |text: &str| text.parse().unwrap();
        for own in ["127.0.0.1:9099", "127.8.0.1:9099", "[::1]:9099"] {
            assert!(Receive::new(address(own), None).is_ok(), "{own}");
        }
        for others in ["0.0.0.0:9099", "10.0.0.1:9099", "[::]:9099", "192.0.2.1:443"] {
            let refused = Receive::new(address(others), None).unwrap_err();
            assert!(refused.contains(others) && refused.contains("--receive-cert"), "{refused}");
            let certificate = Certificate { cert: "cert.pem".into(), key: "key.pem".into() };
            assert!(Receive::new(address(others), Some(certificate)).is_ok(), "{others}");
        }
    }
}
