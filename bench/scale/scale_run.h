#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "bench/scale/samples.h"

namespace backfill::scale {

using namespace std::chrono_literals;

// A coordinator in a process of its own, simulated workers in this one, from the first shard to the
// last; in the middle the coordinator is killed and started again.
struct RunOptions {
  std::string coordinator;    // the program
  std::filesystem::path dir;  // for the ledger, certificates; must exist
  int workers = 50;
  int shards = 2'000;
  std::int64_t records = 20;  // of a shard, on average
  int batch = 10;
  double rate = 20'000;  // records/s
  bool tls = true;
  bool api_server = false;  // the ledger is on the one of $KUBECONFIG instead of in a file
  bool kill = true;
  Duration warm_up = 5s;             // after which is measured, also after the kill
  Duration change_rate_every = 20s;  // to two thirds and back; 0: never
  double messages_per_second = 500;
  double ttl = 60;  // of leases, in seconds
  Duration give_up = 15min;
  // Told now and then how far it is; null: nobody.
  std::function<void(const std::string&)> progress;
};

struct RunReport {
  // ---- what must hold: empty, or what does not
  std::vector<std::string> broken;

  // ---- how fast
  Samples ask_ms;              // from asking for work to a lease
  Samples rate_ms;             // from a new rate to the grant of each worker
  Samples rate_all_ms;         // to the last of them, for each change
  int rate_missing = 0;        // workers that were not told
  double seconds = 0;          // from the first lease to the last shard
  double connect_seconds = 0;  // until all had a stream
  // ---- after the kill
  double serving_ms = 0;  // until the coordinator listened again
  double first_lease_ms = 0;
  double all_back_ms = 0;
  // ---- what it took
  std::int64_t records = 0;
  double in_use_idle_kib = 0, in_use_kib = 0;  // of the allocator, before and with all streams
  double rss_idle_kib = 0, rss_connected_kib = 0, peak_kib = 0;
  double cpu_seconds = 0;        // of both coordinators
  double fleet_cpu_seconds = 0;  // of this process
  double steady_cpu = 0;         // CPU seconds a second while it was measured
  std::uint64_t messages = 0;    // both ways
  double cpu_us_a_message = 0;   // of the coordinator, while it was measured
  std::uint64_t leases = 0, records_sent = 0, sent_again = 0, redone_at_most = 0;

  [[nodiscard]] std::string ToText(const RunOptions& options) const;
};

// Streams on which workers have nothing to do but report: what a stream and a message cost.
struct TalkReport {
  double kib_a_stream = 0;
  double cpu_us_a_message = 0;
  double messages_per_second = 0;  // both ways
};
// `peer`: a server in the coordinator's place (bench/scale/peer); empty: the coordinator.
Result<TalkReport> RunTalk(const RunOptions& options, const std::string& peer,
                           Duration for_so_long);

// Fails where it could not be carried out; what was wrong with what happened is in the report.
Result<RunReport> RunScale(const RunOptions& options);

}  // namespace backfill::scale
