"""An OTLP receiver over HTTP that is not written in Rust: what it decodes, it prints as OTLP's JSON, one request a line.

The first line is the port. It ends when its standard input does. Needs the package `opentelemetry-proto`.
"""

import base64
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces

SERVICES = {
    "/v1/traces": ("traces", traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse),
    "/v1/metrics": ("metrics", metrics.ExportMetricsServiceRequest, metrics.ExportMetricsServiceResponse),
}

# Protobuf's JSON has base64 where OTLP's has hexadecimal digits.
IDS = {"traceId", "spanId", "parentSpanId"}

PRINTING = threading.Lock()


def tell(line):
    with PRINTING:
        print(json.dumps(line), flush=True)


def with_ids(value):
    if isinstance(value, list):
        return [with_ids(item) for item in value]
    if isinstance(value, dict):
        return {
            key: base64.b64decode(item).hex() if key in IDS else with_ids(item)
            for key, item in value.items()
        }
    return value


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        signal, request, response = SERVICES[self.path]
        assert self.headers["content-type"] == "application/x-protobuf", self.headers
        decoded = MessageToDict(request.FromString(body), use_integers_for_enums=True)
        tell({signal: with_ids(decoded)})
        answer = response().SerializeToString()
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
tell({"port": server.server_port})
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
