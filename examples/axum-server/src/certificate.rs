//! A certificate for `localhost` that signs itself, made anew at each start.

use std::{error::Error, sync::Arc};

use axum_server::tls_rustls::RustlsConfig;
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, ServerConfig},
};

/// A server that has the certificate, and a client that trusts it.
pub(crate) struct Certificate {
    pub(crate) config: RustlsConfig,
    roots: Arc<RootCertStore>,
}

impl Certificate {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        let key = made.signing_key.serialize_der().try_into()?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        let config = RustlsConfig::from_config(Arc::new(config));
        Ok(Self { config, roots: Arc::new(roots) })
    }

    pub(crate) fn connector(&self) -> TlsConnector {
        let roots = Arc::clone(&self.roots);
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }
}
