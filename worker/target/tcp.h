#pragma once

#include <utility>  // before boost/asio.hpp: Boost 1.74 uses std::exchange without including it

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace backfill::worker {

using Tcp = boost::asio::ip::tcp;
// The default, any_io_executor, costs virtual calls on every operation.
using TcpSocket = boost::asio::basic_stream_socket<Tcp, boost::asio::io_context::executor_type>;

}  // namespace backfill::worker
