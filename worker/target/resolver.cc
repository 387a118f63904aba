#include "worker/target/resolver.h"

#include <utility>

namespace backfill::worker {
namespace {

class AsioResolver final : public Resolver {
 public:
  explicit AsioResolver(boost::asio::io_context& io) : resolver_(io) {}

  void Resolve(const std::string& host, const std::string& port, Done done) override {
    resolver_.async_resolve(
        host, port, Asio::numeric_service,
        [host, done = std::move(done)](const boost::system::error_code& ec,
                                       const Asio::results_type& results) {
          std::vector<Tcp::endpoint> addresses;
          for (const auto& r : results) {
            if (addresses.size() == kMaxAddresses) break;
            addresses.push_back(r.endpoint());
          }
          if (!addresses.empty()) return done(std::move(addresses));
          done(Error{ErrorCode::kUnavailable,
                     "looking up " + host + ": " + (ec ? ec.message() : "no address")});
        });
  }

 private:
  using Asio = boost::asio::ip::basic_resolver<Tcp, boost::asio::io_context::executor_type>;
  Asio resolver_;
};

}  // namespace

std::unique_ptr<Resolver> SystemResolver(boost::asio::io_context& io) {
  return std::make_unique<AsioResolver>(io);
}

}  // namespace backfill::worker
