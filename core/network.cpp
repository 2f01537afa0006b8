#include "core/network.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>

namespace ribalta {

namespace {

std::string first_bytes(const boost::asio::ip::address_v6& address, std::ptrdiff_t count, std::string_view suffix) {
  boost::asio::ip::address_v6::bytes_type bytes = address.to_bytes();
  std::fill(bytes.begin() + count, bytes.end(), std::uint8_t{0});
  return boost::asio::ip::address_v6{bytes}.to_string() + std::string{suffix};
}

}  // namespace

std::string network_of(std::string_view address) {
  boost::system::error_code error;
  const boost::asio::ip::address parsed = boost::asio::ip::make_address(std::string{address}, error);
  if (error) return std::string{address};
  if (parsed.is_v4()) return parsed.to_string();
  const boost::asio::ip::address_v6 v6 = parsed.to_v6();
  if (v6.is_v4_mapped()) return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, v6).to_string();
  return first_bytes(v6, 8, "/64");
}

std::string site_of(std::string_view network) {
  constexpr std::string_view kSuffix = "/64";
  if (!network.ends_with(kSuffix)) return std::string{network};
  boost::system::error_code error;
  const std::string text{network.substr(0, network.size() - kSuffix.size())};
  const boost::asio::ip::address_v6 parsed = boost::asio::ip::make_address_v6(text, error);
  return error ? std::string{network} : first_bytes(parsed, 6, "/48");
}

}  // namespace ribalta
