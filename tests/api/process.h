// A program of this project as a process: what it prints, when it ends, and how.

#ifndef TALLYSTICK_TESTS_API_PROCESS_H_
#define TALLYSTICK_TESTS_API_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace tallystick {

class Process {
 public:
  // `output`: a file that takes standard output; empty: it is read with ReadLine and Output.
  explicit Process(std::vector<std::string> command, const std::string& output = "");
  // Kills it if it is still there.
  ~Process();

  // A line of standard output, without its end.
  std::string ReadLine();
  void Signal(int signal);
  // Sends a signal (0: none) and waits; the exit status, or minus the signal that ended it.
  int End(int signal = 0);
  // All that is left of the streams, after End.
  std::string Output();
  std::string Errors();

 private:
  pid_t pid_ = 0;
  int out_ = -1;
  int error_ = -1;
};

// What a program that ends by itself has left.
struct Ran {
  int status = 0;  // as of Process::End
  std::string output;
  std::string errors;
};
// `output` as of Process.
Ran RunToEnd(const std::vector<std::string>& command, const std::string& output = "");

}  // namespace tallystick

#endif  // TALLYSTICK_TESTS_API_PROCESS_H_
