//! The command line, and what the environment says.

use std::net::SocketAddr;

use clap::Parser;

const ENVIRONMENT: &str = "\
Environment, which is OpenTelemetry's own:
  OTEL_EXPORTER_OTLP_ENDPOINT  a collector, such as http://localhost:4318
  OTEL_EXPORTER_OTLP_PROTOCOL  http/protobuf (port 4318) or grpc (port 4317)
  OTEL_EXPORTER_OTLP_HEADERS   such as authorization=Bearer%20TOKEN
  OTEL_SERVICE_NAME            what this program is called
  OTEL_RESOURCE_ATTRIBUTES     such as deployment.environment.name=staging
  OTEL_TRACES_SAMPLER          such as parentbased_traceidratio
  OTEL_TRACES_SAMPLER_ARG      its argument, such as 0.1
  OTEL_BSP_SCHEDULE_DELAY      milliseconds between exports of spans (5000)
  OTEL_METRIC_EXPORT_INTERVAL  the same for metrics (60000)
  OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS
                               such as GET,POST: all others become _OTHER

Examples:
  tower-lifecycle-example-otel
  OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 \\
      OTEL_SERVICE_NAME=shop tower-lifecycle-example-otel --requests 0";

/// A server whose exchanges are told to OpenTelemetry, from head to close, and a client that visits it
///
/// The client asks for this and that, leaves in the middle, breaks off uploads, and asks where nobody listens. Without a
/// collector each span is one line here.
#[derive(Debug, Parser)]
#[command(after_help = ENVIRONMENT)]
pub(crate) struct Cli {
    /// Where the server listens; port 0 is any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,

    /// How many requests the client makes before the program ends; 0 is until Ctrl-C
    #[arg(long, value_name = "N", default_value_t = 24)]
    pub(crate) requests: usize,

    /// Serves until Ctrl-C, and leaves the requests to others
    #[arg(long)]
    pub(crate) no_client: bool,
}
