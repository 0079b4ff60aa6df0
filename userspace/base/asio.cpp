// Boost.Asio's own functions, compiled once (BOOST_ASIO_SEPARATE_COMPILATION) instead of in every
// file that has an address or a timer. Its TLS functions are compiled in api/server/tls.cpp.
#include <boost/asio/impl/src.hpp>
