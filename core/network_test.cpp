#include "core/network.h"

#include <doctest/doctest.h>

using namespace ribalta;

TEST_CASE("network: an IPv6 client is its /64, an IPv4 client its address, however it is written") {
  CHECK(network_of("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64");
  CHECK(network_of("2001:0db8:0001:0002::") == "2001:db8:1:2::/64");
  CHECK(network_of("2001:db8:1:3::1") == "2001:db8:1:3::/64");
  CHECK(network_of("fe80::1%1") == network_of("fe80::2"));
  CHECK(network_of("::1") == "::/64");
  CHECK(network_of("192.0.2.1") == "192.0.2.1");
  CHECK(network_of("::ffff:192.0.2.1") == "192.0.2.1");
}

TEST_CASE("network: a site is the /48 around an IPv6 network, and an IPv4 address itself") {
  CHECK(site_of(network_of("2001:db8:1:2::1")) == "2001:db8:1::/48");
  CHECK(site_of(network_of("2001:db8:1:ffff::1")) == "2001:db8:1::/48");
  CHECK(site_of(network_of("2001:db8:2:2::1")) == "2001:db8:2::/48");
  CHECK(site_of("192.0.2.1") == "192.0.2.1");
  CHECK(site_of("unix") == "unix");
  CHECK(site_of("x/64") == "x/64");
}

TEST_CASE("network: what is no address stays what it is") {
  for (const char* text : {"unix", "", "192.0.2", "2001:db8::/64", "example.org"}) CHECK(network_of(text) == text);
}
