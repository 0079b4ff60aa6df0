// The socket's file: its mode, and files that exist already.
#include "api/server/unix_socket.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>

#include "temporary_directory.hpp"

namespace sluice::api {
namespace {

namespace fs = std::filesystem;

class UnixSocketTest : public testing::Test {
 protected:
  TemporaryDirectory directory_;
  const fs::path path_ = directory_.path() / "run" / "api.sock";
};

// Leaves a socket as a killed process does: bound, but without a listener.
void leave_stale_socket(const fs::path& path) {
  fs::create_directories(path.parent_path());
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.native().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(descriptor);
}

TEST_F(UnixSocketTest, the_directory_is_created_and_the_socket_is_for_owner_and_group_only) {
  const auto socket = UnixSocket::listen(path_);
  ASSERT_TRUE(socket) << socket.error().text();
  struct stat status;
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_TRUE(S_ISSOCK(status.st_mode));
  EXPECT_EQ(status.st_mode & 07777, 0660U);
}

TEST_F(UnixSocketTest, a_stale_socket_is_replaced) {
  leave_stale_socket(path_);
  const auto socket = UnixSocket::listen(path_);
  EXPECT_TRUE(socket) << socket.error().text();
}

TEST_F(UnixSocketTest, a_live_socket_is_left_alone) {
  const auto first = UnixSocket::listen(path_);
  ASSERT_TRUE(first);
  const auto second = UnixSocket::listen(path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::conflict);
  EXPECT_EQ(second.error().message, "another sluiced answers on " + path_.string());
  EXPECT_TRUE(fs::exists(path_));
}

TEST_F(UnixSocketTest, a_file_that_is_no_socket_is_left_alone) {
  fs::create_directories(path_.parent_path());
  std::ofstream(path_) << "precious";
  const auto socket = UnixSocket::listen(path_);
  ASSERT_FALSE(socket);
  EXPECT_NE(socket.error().message.find("it exists and is not a socket"), std::string::npos);
  EXPECT_EQ(fs::file_size(path_), 8U);
}

TEST_F(UnixSocketTest, a_path_that_is_too_long_is_named) {
  const auto socket = UnixSocket::listen(directory_.path() / std::string(120, 'x'));
  ASSERT_FALSE(socket);
  EXPECT_EQ(socket.error().kind, ErrorKind::invalid);
  EXPECT_NE(socket.error().message.find("a socket path has 1 to 107 characters"),
            std::string::npos);
}

TEST_F(UnixSocketTest, a_directory_that_can_not_be_made_is_named) {
  std::ofstream(directory_.path() / "run") << "a file";
  const auto socket = UnixSocket::listen(path_);
  ASSERT_FALSE(socket);
  EXPECT_EQ(socket.error().kind, ErrorKind::system);
  EXPECT_NE(socket.error().message.find(path_.string()), std::string::npos);
}

TEST_F(UnixSocketTest, the_file_goes_with_the_socket_unless_another_took_its_place) {
  {
    const auto socket = UnixSocket::listen(path_);
    ASSERT_TRUE(socket);
  }
  EXPECT_FALSE(fs::exists(path_));
  {
    const auto socket = UnixSocket::listen(path_);
    ASSERT_TRUE(socket);
    fs::remove(path_);
    leave_stale_socket(path_);
  }
  EXPECT_TRUE(fs::exists(path_));
}

}  // namespace
}  // namespace sluice::api
