// Whom an address stands for, where clients are counted.
#pragma once

#include <string>
#include <string_view>

namespace ribalta {

/// An IPv6 host has the whole of its /64 to itself (RFC 4291 §2.5.1, RFC 7217): counted one by one, its addresses would
/// be a limit for nobody. So an IPv6 address is named by its /64, `2001:db8:1:2::/64`, an IPv4 address by itself, also
/// where it comes as `::ffff:192.0.2.1`; what is no address (`unix`) stays what it is.
std::string network_of(std::string_view address);

/// The /48 of a network_of in IPv6: what one site may have whole (RFC 6177), and with it 65 536 networks. For
/// limits that must hold against one who uses them all. Anything else stays what it is.
std::string site_of(std::string_view network);

}  // namespace ribalta
