#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "tests/worker/model_service.h"

namespace backfill::fakes {

struct SinkOptions {
  int port = 0;                    // 0: any
  bool any_address = false;        // else 127.0.0.1 alone
  std::uint64_t bitmap = 0;        // keys 0..bitmap-1 are counted one by one
  std::uint64_t fail_every = 0;    // every n-th request is answered 503; 0: none
  std::uint64_t refuse_every = 0;  // /r/<key> is answered 422 if n divides the key; 0: none
  std::chrono::milliseconds latency{0};
  double serves = 0;  // requests a second, one after the other (ModelService); 0: as many as come
  double foreground = 0;  // of others that use it
  // So many requests a second are taken, what goes beyond is answered 503 at once; 0: all are.
  std::uint64_t capacity = 0;
};

struct SinkStats {
  std::uint64_t connections = 0;  // accepted
  std::uint64_t requests = 0;     // answered, of whatever status
  std::uint64_t records = 0;      // in requests answered 200
  std::uint64_t distinct = 0;     // keys within the bitmap that came at least once
  std::uint64_t duplicates = 0;   // and how often they came again
  std::uint64_t missing = 0;      // keys within the bitmap that never came
  std::uint64_t outside = 0;      // keys that are not in the bitmap
  [[nodiscard]] std::string ToJson() const;
};

// An HTTP target that remembers which keys it got: of /r/<key>, or, for any other path, of each
// "key": <number> in the body. One epoll thread, quick enough to be measured against. A key counts
// when the whole request has arrived, before the latency and the answer: as a target that has
// committed. Of one that serves so many a second (ModelService) all wait the longer the more come;
// what is too much is answered 503, and does not count.
//   GET /stats     the figures
//   GET /metrics   what such a service tells Prometheus of all its traffic
//   POST /levers?serves=N&foreground=N&latency_ms=N&fail_every=N   any of them; 400 for others
class Sink {
 public:
  explicit Sink(const SinkOptions& options);  // listens; ends the process if it cannot
  ~Sink();
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  void Run(const std::stop_token& stop);  // on the calling thread
  void Start();                           // on a thread of its own

  void Stop();  // what arrives from now on does not count

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] SinkStats stats() const;
  [[nodiscard]] int TimesSeen(std::uint64_t key) const;

  // Levers, from any thread.
  void SetFailEvery(std::uint64_t n);
  void SetLatency(std::chrono::milliseconds latency);
  void SetCapacity(std::uint64_t requests_per_second);

 private:
  struct Connection {
    int fd = -1;
    std::string in;
    std::string out;
  };
  void Accept();
  bool OnReadable(Connection& c);  // false: close it
  bool Serve(Connection& c);
  void Answer(Connection& c, std::string_view head, std::string_view path, std::string_view body);
  std::string Serve(std::string_view head, std::string_view path, std::string_view body,
                    Duration& latency);
  bool PullLevers(std::string_view query);  // false: there is no such lever
  void Count(std::string_view path, std::string_view body);
  void CountKey(std::string_view digits) REQUIRES(mu_);
  bool Refuses(std::string_view path) const REQUIRES(mu_);
  bool IsBeyondCapacity(Time now) REQUIRES(mu_);
  void SendDue(Time now);

  int listener_ = -1;
  int epoll_ = -1;
  int port_ = 0;
  std::map<int, Connection> connections_;
  std::multimap<Time, int> due_;  // answers that wait for their latency

  mutable Mutex mu_;
  SinkOptions options_ GUARDED_BY(mu_);
  ModelService service_ GUARDED_BY(mu_);
  SinkStats stats_ GUARDED_BY(mu_);
  double room_ GUARDED_BY(mu_) = 0;  // requests that can be taken, as of:
  Time room_at_ GUARDED_BY(mu_){};
  std::vector<std::uint8_t> seen_ GUARDED_BY(mu_);
  std::jthread thread_;
};

}  // namespace backfill::fakes
