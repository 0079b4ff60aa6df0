// The helper that runs the programs of EXTERNAL monitors, as this test's own user: what it does
// with programs that hang, fork, flood and lie. e2e.monitor runs it as another user.
#include "health/check_helper.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "health/check_message.hpp"
#include "health/check_program.hpp"

namespace sluice::health {
namespace {

namespace fs = std::filesystem;
using Kind = CheckReply::Kind;

class CheckHelper : public testing::Test {
 protected:
  CheckHelper() {
    std::string name = testing::TempDir() + "/checks-XXXXXX";
    directory = mkdtemp(name.data());
    settings.user = {getuid(), getgid()};
    settings.permit = [](const std::string&) { return Result<void>(); };
  }
  ~CheckHelper() override {
    helper.reset();
    fs::remove_all(directory);
  }

  void declare(const std::string& name, const std::string& script) {
    const auto path = directory / name;
    std::ofstream(path) << "#!/bin/sh\n" << script;
    chmod(path.c_str(), 0755);
    settings.programs[name] = path;
  }
  void start_helper() {
    auto started = start_check_helper(settings);
    ASSERT_TRUE(started) << started.error().text();
    helper = std::move(*started);
  }
  std::uint64_t ask(const std::string& check, std::uint32_t seconds = 600) const {
    static std::uint64_t id = 0;
    CheckRequest request{};
    request.id = ++id;
    request.seconds = seconds;
    request.port = 5432;
    check.copy(request.check, sizeof request.check - 1);
    std::string_view("192.0.2.5").copy(request.address, sizeof request.address - 1);
    send(helper.get(), &request, sizeof request, 0);
    return id;
  }
  void stop(std::uint64_t id) const {
    CheckRequest request{};
    request.kind = CheckRequest::Kind::stop;
    request.id = id;
    send(helper.get(), &request, sizeof request, 0);
  }
  // The helper's next words, which come within a minute.
  CheckReply hear() const {
    CheckReply reply{};
    pollfd waiting{helper.get(), POLLIN, 0};
    EXPECT_EQ(poll(&waiting, 1, 60'000), 1) << "the helper says nothing";
    if (waiting.revents != 0) recv(helper.get(), &reply, sizeof reply, MSG_DONTWAIT);
    return reply;
  }
  static std::string text(const CheckReply& reply) { return {reply.text, reply.length}; }

  // Waits for the file's number, which a script writes.
  pid_t written_pid(const std::string& name) const {
    for (int tries = 0; tries < 6000; tries++) {
      std::ifstream file(directory / name);
      std::string line;
      if (std::getline(file, line) && !file.eof()) return std::stoi(line);
      usleep(10'000);
    }
    ADD_FAILURE() << name << " was not written";
    return 0;
  }
  static bool ends(pid_t pid) {
    for (int tries = 0; tries < 6000; tries++) {
      if (kill(pid, 0) != 0) return true;
      usleep(10'000);
    }
    return false;
  }

  fs::path directory;
  CheckSettings settings;
  UniqueFd helper;
};

TEST_F(CheckHelper, AProgramHasTheMembersAddressAndNothingElse) {
  declare("look",
          "echo \"$@\"; env | grep -v -e ^PWD -e ^_ -e ^SHLVL | sort; ls -m /proc/$$/fd; exit 3\n");
  start_helper();
  ask("look", 7);
  const auto reply = hear();
  EXPECT_EQ(reply.kind, Kind::ended);
  EXPECT_EQ(WEXITSTATUS(reply.status), 3);
  EXPECT_EQ(text(reply),
            "192.0.2.5 5432\n"
            "SLUICE_ADDRESS=192.0.2.5\nSLUICE_CHECK=look\nSLUICE_PORT=5432\nSLUICE_TIMEOUT=7\n"
            "0, 1, 10, 2\n")
      << "10 is the script";
}

TEST_F(CheckHelper, WhatAProgramHasStartedEndsWithIt) {
  const auto path = directory.string();
  declare("fork", "sleep 1000 & echo $! > " + path + "/child\nsetsid sh -c 'echo $$ > " + path +
                      "/escaped; sleep 1000' &\nwhile [ ! -s " + path +
                      "/escaped ]; do sleep 0.01; done\nexit 0\n");
  start_helper();
  ask("fork");
  EXPECT_EQ(hear().kind, Kind::ended);
  EXPECT_TRUE(ends(written_pid("child")));
  EXPECT_TRUE(ends(written_pid("escaped")));
}

TEST_F(CheckHelper, AProgramThatHangsIsKilledWithItsChildrenWhenItIsStoppedOrLate) {
  const auto path = directory.string();
  declare("hang", "trap '' TERM INT HUP; sleep 1000 & echo $! > " + path + "/child; wait\n");
  start_helper();
  const auto id = ask("hang");
  const auto child = written_pid("child");
  stop(id);
  const auto reply = hear();
  EXPECT_EQ(reply.id, id);
  EXPECT_EQ(WTERMSIG(reply.status), SIGKILL);
  EXPECT_TRUE(ends(child));

  const auto late = ask("hang", 0);  // nobody stops it
  EXPECT_EQ(hear().id, late);
}

TEST_F(CheckHelper, AFloodEndsTheProgram) {
  declare("flood", "yes 'all is well'\n");
  start_helper();
  ask("flood");
  const auto reply = hear();
  EXPECT_EQ(reply.kind, Kind::flooded);
  EXPECT_EQ(text(reply).substr(0, 12), "all is well\n");
}

TEST_F(CheckHelper, WhatIsNotDeclaredOrCantBeRunIsRefused) {
  declare("gone", "exit 0\n");
  declare("no-program", "exit 0\n");
  std::ofstream(directory / "no-program") << "neither a script nor a program";
  start_helper();
  fs::remove(directory / "gone");
  ask("../../bin/true");
  EXPECT_EQ(text(hear()), "this node declares no check '../../bin/true'");
  for (const auto* name : {"gone", "no-program"}) {
    ask(name);
    const auto reply = hear();
    EXPECT_EQ(reply.kind, Kind::refused);
    EXPECT_EQ(text(reply).substr(0, 8 + strlen(name)), std::string("check '") + name + "'");
  }
}

TEST_F(CheckHelper, NoMoreRunAtOnceThanMay) {
  declare("hang", "sleep 1000\n");
  settings.at_once = 2;
  start_helper();
  ask("hang");
  ask("hang");
  const auto third = ask("hang");
  const auto reply = hear();
  EXPECT_EQ(reply.kind, Kind::refused);
  EXPECT_EQ(reply.id, third);
}

TEST_F(CheckHelper, AKilledLauncherIsReplacedAndItsProgramsEnd) {
  const auto path = directory.string();
  declare("tell", "echo $PPID > " + path + "/launcher.new; echo $$ > " + path + "/self; mv " +
                      path + "/launcher.new " + path + "/launcher; sleep 1000\n");
  declare("up", "exit 0\n");
  start_helper();
  ask("tell");
  kill(written_pid("launcher"), SIGKILL);
  EXPECT_EQ(hear().kind, Kind::anew);
  EXPECT_TRUE(ends(written_pid("self")));
  ask("up");
  EXPECT_EQ(hear().kind, Kind::ended);
}

TEST_F(CheckHelper, EverythingEndsWithTheDaemon) {
  const auto path = directory.string();
  declare("tell", "echo $$ > " + path + "/self; sleep 1000\n");
  start_helper();
  ask("tell");
  const auto program = written_pid("self");
  helper.reset();
  EXPECT_TRUE(ends(program));
}

TEST(CheckProgram, MustBeThereExecutableAndRootsAlone) {
  EXPECT_EQ(check_program("true").error().text(), "'true' is not an absolute path");
  EXPECT_EQ(check_program("/no/such").error().text(), "/no/such: No such file or directory");
  EXPECT_EQ(check_program("/etc/passwd").error().text(),
            "/etc/passwd is not executable (chmod 755 /etc/passwd)");
  EXPECT_EQ(check_program("/etc").error().text(), "/etc is not a file");
  if (getuid() != 0) GTEST_SKIP() << "not root: whose file is written below?";
  ASSERT_TRUE(check_program("/usr/bin/env"));
  std::string path = fs::path(testing::TempDir()) / "check-XXXXXX";
  close(mkstemp(path.data()));
  chmod(path.c_str(), 0775);
  EXPECT_EQ(check_program(path).error().message, path + " is writable by others than root");
  chmod(path.c_str(), 0755);
  EXPECT_NE(check_program(path).error().message.find("is writable by others than root"),
            std::string::npos)
      << "so is /tmp";
  ASSERT_EQ(chown(path.c_str(), 1, 1), 0);
  EXPECT_EQ(check_program(path).error().message, path + " belongs to another user than root");
  fs::remove(path);
}

TEST(CheckUser, MustBeThereAndNotRoot) {
  EXPECT_EQ(find_check_user("root").error().text(),
            "checks must not run as 'root', which is root or of its group (choose another "
            "--check-user)");
  EXPECT_EQ(find_check_user("no-such-user").error().text(),
            "there is no user 'no-such-user' to run checks (adduser --system --group "
            "no-such-user)");
}

}  // namespace
}  // namespace sluice::health
