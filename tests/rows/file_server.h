#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace backfill::rows {

// A web server with one file, on a port of its own, with levers for what servers do wrong.
class FileServer {
 public:
  explicit FileServer(std::string body);
  ~FileServer();

  [[nodiscard]] std::string Url(const std::string& path = "/file") const;

  void WithoutRanges() { ranges_ = false; }
  void WithoutLength() { length_ = false; }
  // The next requests are answered so, in turn; 0 closes the connection without an answer.
  void AnswerNext(std::vector<int> statuses);
  // The next bodies end after so many bytes, in turn.
  void CutNext(std::vector<std::size_t> sizes);
  // The next request is answered, its body never comes.
  void HangNext() { hang_next_ = true; }
  void Become(std::string body, std::string etag);
  void RedirectTo(std::string url);

  [[nodiscard]] int requests() const { return requests_; }
  [[nodiscard]] int connections() const { return connections_; }
  // Bytes of bodies that the server could hand to the system.
  [[nodiscard]] std::uint64_t sent() const { return sent_; }

 private:
  void Accept();
  void Serve(int fd);
  bool Answer(int fd, const std::string& head);

  std::mutex mu_;
  std::string body_;
  std::string etag_ = "\"one\"";
  std::string redirect_;
  std::vector<int> statuses_;
  std::vector<std::size_t> cuts_;
  std::atomic<bool> ranges_ = true;
  std::atomic<bool> length_ = true;
  std::atomic<bool> hang_next_ = false;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> requests_ = 0;
  std::atomic<int> connections_ = 0;
  std::atomic<std::uint64_t> sent_ = 0;

  int listener_ = -1;
  int port_ = 0;
  std::vector<int> open_;  // guarded by mu_
  std::vector<std::jthread> serving_;
  std::jthread accepting_;
};

}  // namespace backfill::rows
