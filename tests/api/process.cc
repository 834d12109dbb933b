#include "tests/api/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace tallystick {
namespace {

std::string ReadAll(int fd) {
  std::string all;
  char bytes[4096];
  for (ssize_t count; (count = read(fd, bytes, sizeof(bytes))) > 0;) {
    all.append(bytes, static_cast<size_t>(count));
  }
  return all;
}

}  // namespace

Process::Process(std::vector<std::string> command, const std::string& output) {
  std::vector<char*> pointers;
  pointers.reserve(command.size() + 1);
  for (std::string& argument : command) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  int out[2];
  int error[2];
  EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
  EXPECT_EQ(pipe2(error, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, error[1], STDERR_FILENO);
  if (!output.empty()) {
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(), O_WRONLY, 0);
  }
  EXPECT_EQ(posix_spawn(&pid_, pointers[0], &actions, nullptr, pointers.data(), environ), 0);
  posix_spawn_file_actions_destroy(&actions);
  close(out[1]);
  close(error[1]);
  out_ = out[0];
  error_ = error[0];
}

Process::~Process() {
  if (pid_ > 0) End(SIGKILL);
  close(out_);
  close(error_);
}

std::string Process::ReadLine() {
  std::string line;
  for (char c; read(out_, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

void Process::Signal(int signal) { kill(pid_, signal); }

int Process::End(int signal) {
  if (signal != 0) Signal(signal);
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

std::string Process::Output() { return ReadAll(out_); }
std::string Process::Errors() { return ReadAll(error_); }

// Read before it has ended: there may be more than a pipe holds.
Ran RunToEnd(const std::vector<std::string>& command, const std::string& output) {
  Process process(command, output);
  Ran ran;
  ran.output = process.Output();
  ran.errors = process.Errors();
  ran.status = process.End();
  return ran;
}

}  // namespace tallystick
