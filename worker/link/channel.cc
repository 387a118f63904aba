#include "worker/link/channel.h"

// clang-format off
#include "base/mutex.h"  // before grpcpp: Abseil, which it includes, defines GUARDED_BY, too
#include <grpcpp/grpcpp.h>
// clang-format on

namespace backfill::worker {
namespace {

constexpr int kMaxMessageBytes = 16 * 1024 * 1024;  // a workload can hold 100,000 keys of 128 bytes

}  // namespace

std::shared_ptr<grpc::Channel> OpenChannel(const DialOptions& dial,
                                           const std::string& authorities) {
  grpc::ChannelArguments args;
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  args.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // The waiting between attempts is this class's; the channel's own would come on top of it.
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  // Also the time for connecting with TLS. When a thousand workers come at once, as after a restart
  // of the operator, that takes seconds; who gave up after one would have to begin anew, and all
  // the work of the coordinator be in vain.
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5'000);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  args.SetMaxReceiveMessageSize(kMaxMessageBytes);
  args.SetMaxSendMessageSize(kMaxMessageBytes);
  // Another channel is another connection: the last one led nowhere, or was trusted for other
  // authorities.
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (authorities.empty())
    return grpc::CreateCustomChannel(dial.address, grpc::InsecureChannelCredentials(), args);
  // A follower refuses at once: then the next stream is to go to another address.
  args.SetLoadBalancingPolicyName("round_robin");
  args.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1'000);
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = authorities;
  if (!dial.server_name.empty()) args.SetSslTargetNameOverride(dial.server_name);
  return grpc::CreateCustomChannel(dial.address, grpc::SslCredentials(tls), args);
}

}  // namespace backfill::worker
