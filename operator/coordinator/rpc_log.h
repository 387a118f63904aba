#pragma once

namespace backfill::coordinator {

// From now on what gRPC has to say becomes lines of our own log, in the whole process. What a peer
// brings about by a bad handshake is for debugging only: anybody who reaches the port could fill
// the log with it. Idempotent, thread-safe.
void LogForRpc();

}  // namespace backfill::coordinator
