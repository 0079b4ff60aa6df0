// A small stand-in for libFuzzer's main(), for compilers without it. Takes its options as far as
// they are used here: -max_total_time=SECONDS, -max_len=BYTES, -seed=NUMBER, and files and
// directories.
//
// Each input of the corpus is run as it is, then changed at random until the time is over. The
// sequence follows from the seed, so that a finding comes again; the input of a crash is left in
// ./crash-input.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

struct Options {
  double seconds = 1;
  std::size_t longest = 4096;
  std::uint64_t seed = 1;
  std::vector<Input> corpus;
};

void read_file(const std::filesystem::path& path, std::vector<Input>& corpus) {
  std::ifstream file(path, std::ios::binary);
  corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

void read_corpus(const std::filesystem::path& path, std::vector<Input>& corpus) {
  if (!std::filesystem::is_directory(path)) return read_file(path, corpus);
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(path)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());  // the same order everywhere
  for (const auto& file : files) read_file(file, corpus);
}

Options read_options(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string argument = arguments[i];
    const auto value = argument.substr(std::min(argument.find('=') + 1, argument.size()));
    if (argument.starts_with("-max_total_time=")) {
      options.seconds = std::stod(value);
    } else if (argument.starts_with("-max_len=")) {
      options.longest = std::stoul(value);
    } else if (argument.starts_with("-seed=")) {
      options.seed = std::stoull(value);
    } else if (!argument.starts_with('-')) {
      read_corpus(argument, options.corpus);
    }
  }
  if (options.corpus.empty()) options.corpus.emplace_back();
  return options;
}

Input running;

// Leaves what is asked of a signal handler: open, write, and the signal's usual end.
void leave_input(int signal) {
  std::FILE* file = std::fopen("crash-input", "wb");
  if (file) {
    std::fwrite(running.data(), 1, running.size(), file);
    std::fclose(file);
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  Input changed(const std::vector<Input>& corpus, std::size_t longest) {
    auto input = corpus[below(corpus.size())];
    for (auto steps = 1 + below(8); steps > 0; --steps) step(input, corpus[below(corpus.size())]);
    input.resize(std::min(input.size(), longest));
    return input;
  }

 private:
  std::size_t below(std::size_t limit) { return limit == 0 ? 0 : random_() % limit; }
  auto place(Input& input, std::size_t at) {
    return input.begin() + static_cast<std::ptrdiff_t>(at);
  }

  void step(Input& input, const Input& other) {
    constexpr std::uint8_t telling[] = {0,   '\n', '\r', ' ', '"', '\\', '{', '}', '[',  ']', ':',
                                        ',', '-',  '0',  '9', '%', '/',  '?', '&', 0x7f, 0xff};
    const auto at = below(input.size() + 1);
    const auto length = std::min(below(16) + 1, input.size() - at);
    switch (below(6)) {
      case 0:
        if (at < input.size()) input[at] ^= static_cast<std::uint8_t>(1U << below(8));
        break;
      case 1:
        if (at < input.size()) input[at] = telling[below(std::size(telling))];
        break;
      case 2:
        input.insert(place(input, at), telling[below(std::size(telling))]);
        break;
      case 3:
        input.erase(place(input, at), place(input, at + length));
        break;
      case 4: {
        const Input part(place(input, at), place(input, at + length));
        const auto to = below(input.size() + 1);
        input.insert(place(input, to), part.begin(), part.end());
        break;
      }
      default: {
        const auto from = below(other.size() + 1);
        const Input part(other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
        input.resize(at);
        input.insert(input.end(), part.begin(), part.end());
      }
    }
  }

  std::mt19937_64 random_;
};

// The input is copied, so that reading beyond it is seen. One that takes too long is a finding,
// too.
void run(Input input) {
  running = input;
  alarm(60);  // the machine may be busy
  LLVMFuzzerTestOneInput(running.data(), running.size());
}

}  // namespace

int main(int count, char** arguments) {
  const auto options = read_options(count, arguments);
  std::signal(SIGABRT, leave_input);
  std::signal(SIGSEGV, leave_input);
  std::signal(SIGALRM, leave_input);
  for (const auto& input : options.corpus) run(input);
  Mutator mutator(options.seed);
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(options.seconds);
  std::size_t runs = options.corpus.size();
  for (; Clock::now() < end; ++runs) run(mutator.changed(options.corpus, options.longest));
  std::printf("%zu inputs, %zu of them from files\n", runs, options.corpus.size());
  return 0;
}
