//! A certificate for `localhost` that signs itself, made anew at each start.

use std::{error::Error, sync::Arc};

use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{ClientConfig, RootCertStore, ServerConfig},
};

/// A server that has the certificate and speaks HTTP/2 and HTTP/1, and clients that trust it.
pub(crate) struct Certificate {
    pub(crate) acceptor: TlsAcceptor,
    roots: Arc<RootCertStore>,
}

impl Certificate {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        let key = made.signing_key.serialize_der().try_into()?;
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        // Without a choice all clients would speak HTTP/1.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), roots: Arc::new(roots) })
    }

    /// A client that speaks `protocol`.
    pub(crate) fn connector(&self, protocol: &str) -> TlsConnector {
        let roots = Arc::clone(&self.roots);
        let mut config =
            ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.into()];
        TlsConnector::from(Arc::new(config))
    }
}
