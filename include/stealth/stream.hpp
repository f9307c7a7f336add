// A std::ostream that appends to a Buffer: what is printed is written at once, one write each, and counted and held
// back like any other. One thread's at a time, as all streams are; the buffer may be written to by others meanwhile.
#ifndef STEALTH_STREAM_HPP
#define STEALTH_STREAM_HPP

#include <cstddef>
#include <ostream>
#include <stealth/buffer_pool.hpp>
#include <streambuf>
#include <system_error>

namespace stealth {
inline namespace v0 {

namespace detail {

class BufferStreamBuf final : public std::streambuf {
 public:
  explicit BufferStreamBuf(Buffer& buffer) noexcept : buffer_(buffer) {}
  [[nodiscard]] std::error_code error() const noexcept { return error_; }

 protected:
  std::streamsize xsputn(char const* text, std::streamsize count) override {
    if (count <= 0) return 0;
    std::error_code error;
    std::size_t const wrote = buffer_.write(std::string_view(text, static_cast<std::size_t>(count)), error);
    if (error) error_ = error;
    return static_cast<std::streamsize>(wrote);
  }
  int_type overflow(int_type c) override {
    if (traits_type::eq_int_type(c, traits_type::eof())) return traits_type::not_eof(c);
    char const one = traits_type::to_char_type(c);
    return xsputn(&one, 1) == 1 ? c : traits_type::eof();
  }
  // For tellp(): where the next byte goes.
  pos_type seekoff(off_type offset, std::ios_base::seekdir from, std::ios_base::openmode which) override {
    bool const asks = offset == 0 && from != std::ios_base::beg && (which & std::ios_base::out) != 0;
    return asks ? pos_type(static_cast<off_type>(buffer_.size())) : pos_type(off_type(-1));
  }

 private:
  Buffer& buffer_;
  std::error_code error_;
};

// Before std::ostream among the bases, so that it is there when that begins.
struct BufferStreamHolder {
  explicit BufferStreamHolder(Buffer& buffer) noexcept : output(buffer) {}
  BufferStreamBuf output;
};

}  // namespace detail

// The Buffer object must outlive it. Where a write fails the stream's badbit is set and error() says why; what was
// printed before stays.
class BufferStream : private detail::BufferStreamHolder, public std::ostream {
 public:
  explicit BufferStream(Buffer& buffer) : BufferStreamHolder(buffer), std::ostream(&output) {}
  BufferStream(BufferStream const&) = delete;
  BufferStream& operator=(BufferStream const&) = delete;
  ~BufferStream() override = default;

  // Of the write that failed last.
  [[nodiscard]] std::error_code error() const noexcept { return output.error(); }
};

}  // namespace v0
}  // namespace stealth

#endif
