#pragma once

#include <memory>

#include "operator/coordinator/server_certificates.h"

namespace grpc {
class ServerCredentials;
}  // namespace grpc

namespace backfill::coordinator {

// TLS 1.2 or newer, without client certificates. Each handshake shows what `certificates` has at
// that moment; connections that stand are not touched. A pair that does not fit is logged and
// passed over: the one before it is shown. As long as there was none, a certificate that nobody
// trusts is. The result must live as long as its server, `certificates` longer.
//
// gRPC's own providers of certificates read files, or never change; this uses the fetcher of its C
// interface, which it asks at each handshake, on its threads.
std::shared_ptr<grpc::ServerCredentials> TlsCredentials(const ServerCertificates& certificates);

}  // namespace backfill::coordinator
