// The bodies of Asio's and Beast's non-template functions, compiled once for the whole project.
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
