/* Every function of buffer_pool.h from C99, linked with libstealthpool: alone, and under libstealth.so. */
#include <stealth/buffer_pool.h>

#include "../support/test.h"

#define TARGET 100000

static struct stealth_buffer_pool_statistics figures(stealth_buffer_pool* pool) {
  struct stealth_buffer_pool_statistics now;
  memset(&now, 0xee, sizeof now);
  now.size = sizeof now;
  CHECK(stealth_buffer_pool_stats(pool, &now) == STEALTH_OK);
  CHECK(now.size == sizeof now);
  return now;
}

static int is(stealth_buffer* buffer, const char* text) {
  void* data = NULL;
  size_t size = 0;
  CHECK(stealth_buffer_view(buffer, &data, &size) == STEALTH_OK);
  return size == strlen(text) && memcmp(data, text, size) == 0;
}

static void create_and_destroy(void) {
  struct stealth_buffer_pool_options options;
  stealth_buffer_pool* pool = TEST_CAST(stealth_buffer_pool*, &options);
  CHECK(stealth_buffer_pool_create(TARGET, NULL, NULL) == STEALTH_INVALID_ARGUMENT);
  CHECK(stealth_buffer_pool_create(0, NULL, &pool) == STEALTH_INVALID_OPTIONS && pool == NULL);
  memset(&options, 0, sizeof options);
  CHECK(stealth_buffer_pool_create(TARGET, &options, &pool) == STEALTH_INVALID_ARGUMENT);
  options.size = sizeof options;
  CHECK(stealth_buffer_pool_create(TARGET, &options, &pool) == STEALTH_OK);
  CHECK(figures(pool).target == TARGET && figures(pool).closed == 0);
  CHECK(stealth_buffer_pool_destroy(pool) == STEALTH_OK);
  options.flags = 1u << 30;
  CHECK(stealth_buffer_pool_create(TARGET, &options, &pool) == STEALTH_INVALID_OPTIONS);
  options.flags = 0;
  options.randomization_factor = 2;
  CHECK(stealth_buffer_pool_create(TARGET, &options, &pool) == STEALTH_INVALID_OPTIONS);
  options.randomization_factor = 0;
  options.trace_every = 10;
  CHECK(stealth_buffer_pool_create(TARGET, &options, &pool) == STEALTH_OK);
  CHECK(stealth_buffer_pool_destroy(pool) == STEALTH_OK);
}

/* Programs of other versions of the library, with structures of other lengths. */
static void other_versions(void) {
  struct {
    struct stealth_buffer_pool_options options;
    uint64_t later[4];
  } longer;
  struct {
    struct stealth_buffer_pool_statistics figures;
    uint64_t later[4];
  } more;
  stealth_buffer_pool* pool = NULL;
  memset(&longer, 0, sizeof longer);
  longer.options.size = sizeof longer;
  CHECK(stealth_buffer_pool_create(TARGET, &longer.options, &pool) == STEALTH_OK);
  memset(&more, 0xee, sizeof more);
  more.figures.size = sizeof more;
  CHECK(stealth_buffer_pool_stats(pool, &more.figures) == STEALTH_OK);
  CHECK(more.figures.size == sizeof more.figures && more.later[0] == 0xeeeeeeeeeeeeeeee);
  memset(&more, 0xee, sizeof more);
  more.figures.size = offsetof(struct stealth_buffer_pool_statistics, used);
  CHECK(stealth_buffer_pool_stats(pool, &more.figures) == STEALTH_OK);
  CHECK(more.figures.target == TARGET && more.figures.used == 0xeeeeeeeeeeeeeeee);
  more.figures.size = 8;
  CHECK(stealth_buffer_pool_stats(pool, &more.figures) == STEALTH_INVALID_ARGUMENT);
  CHECK(stealth_buffer_pool_stats(pool, NULL) == STEALTH_INVALID_ARGUMENT);
  CHECK(stealth_buffer_pool_destroy(pool) == STEALTH_OK);
  longer.later[3] = 1; /* asks for something that this library does not have */
  CHECK(stealth_buffer_pool_create(TARGET, &longer.options, &pool) == STEALTH_INVALID_OPTIONS && pool == NULL);
  longer.options.size = 8;
  CHECK(stealth_buffer_pool_create(TARGET, &longer.options, &pool) == STEALTH_INVALID_ARGUMENT);
}

static void contents(void) {
  stealth_buffer_pool* pool = NULL;
  stealth_buffer* buffer = NULL;
  char out[16];
  uint64_t at = 77;
  struct iovec view;
  double ratio = -1;
  CHECK(stealth_buffer_pool_create(TARGET, NULL, &pool) == STEALTH_OK);
  CHECK(stealth_buffer_pool_get(pool, NULL) == STEALTH_INVALID_ARGUMENT);
  CHECK(stealth_buffer_pool_make(pool, NULL, 1, &buffer) == STEALTH_INVALID_ARGUMENT && buffer == NULL);
  CHECK(stealth_buffer_pool_make(pool, "begin", 5, &buffer) == STEALTH_OK && is(buffer, "begin"));
  CHECK(stealth_buffer_write(buffer, " more", 5) == STEALTH_OK);
  CHECK(stealth_buffer_write(buffer, NULL, 0) == STEALTH_OK);
  CHECK(stealth_buffer_write(buffer, NULL, 1) == STEALTH_INVALID_ARGUMENT);
  CHECK(stealth_buffer_write_at(buffer, "BE", 2, 0) == STEALTH_OK);
  CHECK(stealth_buffer_write_at(buffer, "x", 1, 11) == STEALTH_OUT_OF_RANGE);
  CHECK(stealth_buffer_write_at(buffer, "x", 1, UINT64_MAX) == STEALTH_OUT_OF_RANGE);
  CHECK(stealth_buffer_write_at(buffer, NULL, 1, 0) == STEALTH_INVALID_ARGUMENT);
  CHECK(is(buffer, "BEgin more"));
  CHECK(stealth_buffer_extend(buffer, 2, &at) == STEALTH_OK && at == 10);
  CHECK(stealth_buffer_extend_for_overwrite(buffer, 2, NULL) == STEALTH_OK);
  CHECK(stealth_buffer_truncate(buffer, 15) == STEALTH_OUT_OF_RANGE);
  CHECK(stealth_buffer_truncate(buffer, 10) == STEALTH_OK && is(buffer, "BEgin more"));
  CHECK(stealth_buffer_read(buffer, out, 2) == STEALTH_OK && memcmp(out, "BE", 2) == 0);
  CHECK(stealth_buffer_read(buffer, out, 11) == STEALTH_OUT_OF_RANGE);
  CHECK(stealth_buffer_read_at(buffer, out, 4, 6) == STEALTH_OK && memcmp(out, "more", 4) == 0);
  CHECK(stealth_buffer_read_at(buffer, out, 5, 6) == STEALTH_OUT_OF_RANGE);
  CHECK(stealth_buffer_read_at(buffer, NULL, 5, 0) == STEALTH_INVALID_ARGUMENT);
  CHECK(stealth_buffer_view(buffer, NULL, NULL) == STEALTH_OK);
  CHECK(stealth_buffer_iovec(buffer, 2, 5, &view) == STEALTH_OK);
  CHECK(view.iov_len == 3 && memcmp(view.iov_base, "gin", 3) == 0);
  CHECK(stealth_buffer_iovec(buffer, 5, 11, &view) == STEALTH_OUT_OF_RANGE && view.iov_base == NULL);
  CHECK(stealth_buffer_iovec(buffer, 0, 0, NULL) == STEALTH_INVALID_ARGUMENT);
  CHECK(stealth_buffer_pool_fill_ratio(pool, NULL) == STEALTH_INVALID_ARGUMENT);
  CHECK(stealth_buffer_pool_fill_ratio(pool, &ratio) == STEALTH_OK && ratio == 10.0 / TARGET);
  CHECK(stealth_buffer_reset(buffer) == STEALTH_OK && is(buffer, ""));
  CHECK(figures(pool).used == 0 && figures(pool).out == 1 && figures(pool).held == 4096);
  CHECK(stealth_buffer_release(buffer) == STEALTH_OK);
  CHECK(stealth_buffer_release(buffer) == STEALTH_INVALID_HANDLE);
  CHECK(figures(pool).idle == 1);
  CHECK(stealth_buffer_pool_destroy(pool) == STEALTH_OK);
}

static void waiting(void) {
  struct stealth_buffer_pool_options options;
  stealth_buffer_pool* pool = NULL;
  stealth_buffer_pool* other = NULL;
  stealth_buffer* buffer = NULL;
  stealth_buffer* second = NULL;
  uint64_t ns = 77;
  uint64_t bytes = 77;
  double ratio = -1;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.initial_interval_ns = 2000000;
  options.max_elapsed_ns = 2000000;
  options.randomization_factor = 0.5;
  options.flags = STEALTH_BUFFERS_WRITE_BACKOFF;
  CHECK(stealth_buffer_pool_create(5, &options, &pool) == STEALTH_OK);
  CHECK(stealth_buffer_pool_create(TARGET, NULL, &other) == STEALTH_OK);
  CHECK(stealth_buffer_pool_backoff(pool, &ns) == STEALTH_OK && ns == 0);
  CHECK(stealth_buffer_pool_make(pool, "12345", 5, &buffer) == STEALTH_OK);
  CHECK(figures(pool).waits == 0);
  CHECK(stealth_buffer_write(buffer, "6", 1) == STEALTH_OK);
  CHECK(stealth_buffer_pool_get(pool, &second) == STEALTH_OK);
  CHECK(stealth_buffer_pool_backoff(pool, &ns) == STEALTH_OK && ns >= 1000000);
  CHECK(stealth_buffer_pool_backoff(pool, NULL) == STEALTH_OK);
  CHECK(stealth_buffer_pool_count(pool, 10) == STEALTH_OK);
  CHECK(figures(pool).used == 16 && figures(pool).waits == 5 && figures(pool).waited_ns >= 5000000);
  CHECK(figures(pool).longest_wait_ns >= 1000000 && figures(pool).waiting == 0);
  CHECK(stealth_buffer_pool_discount(pool, 11) == STEALTH_OUT_OF_RANGE);
  CHECK(stealth_buffer_pool_discount(pool, 10) == STEALTH_OK);
  CHECK(stealth_buffer_pool_put(other, buffer) == STEALTH_INVALID_BLOCK && is(buffer, "123456"));
  CHECK(stealth_buffer_pool_put(pool, buffer) == STEALTH_OK);
  CHECK(stealth_buffer_pool_put(pool, buffer) == STEALTH_INVALID_HANDLE);
  CHECK(figures(pool).dropped == 1 && figures(pool).used == 0);
  CHECK(stealth_buffer_pool_put(pool, second) == STEALTH_OK && figures(pool).idle == 1);
  CHECK(stealth_buffer_pool_trim(pool, &bytes) == STEALTH_OK && bytes == 0 && figures(pool).idle == 0);
  CHECK(stealth_buffer_pool_make(pool, "12", 2, &buffer) == STEALTH_OK);
  CHECK(stealth_buffer_pool_close(pool) == STEALTH_OK);
  CHECK(stealth_buffer_pool_close(pool) == STEALTH_OK);
  CHECK(stealth_buffer_pool_get(pool, &second) == STEALTH_POOL_CLOSED && second == NULL);
  CHECK(stealth_buffer_pool_make(pool, "1", 1, &second) == STEALTH_POOL_CLOSED && second == NULL);
  CHECK(stealth_buffer_pool_backoff(pool, &ns) == STEALTH_POOL_CLOSED && ns == 0);
  CHECK(stealth_buffer_pool_count(pool, 1) == STEALTH_POOL_CLOSED);
  CHECK(stealth_buffer_pool_fill_ratio(pool, &ratio) == STEALTH_POOL_CLOSED && ratio == 0);
  CHECK(stealth_buffer_pool_trim(pool, &bytes) == STEALTH_POOL_CLOSED && bytes == 0);
  CHECK(stealth_buffer_write(buffer, "x", 1) == STEALTH_POOL_CLOSED && is(buffer, "12"));
  CHECK(stealth_buffer_pool_put(pool, buffer) == STEALTH_POOL_CLOSED);
  CHECK(stealth_buffer_pool_put(pool, buffer) == STEALTH_INVALID_HANDLE);
  CHECK(figures(pool).closed == 1 && figures(pool).held == 0 && figures(pool).out == 0);
  CHECK(stealth_buffer_pool_destroy(pool) == STEALTH_OK);
  CHECK(stealth_buffer_pool_destroy(other) == STEALTH_OK);
}

static void wrong_handle(void* wrong) {
  stealth_buffer_pool* const pool = TEST_CAST(stealth_buffer_pool*, wrong);
  stealth_buffer* const buffer = TEST_CAST(stealth_buffer*, wrong);
  stealth_buffer* got = buffer;
  struct stealth_buffer_pool_statistics now;
  struct iovec view;
  char byte = 0;
  double ratio = 7;
  now.size = sizeof now;
  CHECK(stealth_buffer_pool_get(pool, &got) == STEALTH_INVALID_HANDLE && got == NULL);
  CHECK(stealth_buffer_pool_make(pool, &byte, 1, &got) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_buffer_pool_put(pool, buffer) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_buffer_pool_backoff(pool, NULL) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_buffer_pool_fill_ratio(pool, &ratio) == STEALTH_INVALID_HANDLE && ratio == 0);
  CHECK(stealth_buffer_pool_count(pool, 1) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_buffer_pool_discount(pool, 1) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_buffer_pool_trim(pool, NULL) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_buffer_pool_stats(pool, &now) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_buffer_pool_close(pool) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_buffer_pool_destroy(pool) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_buffer_write(buffer, &byte, 1) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_buffer_write_at(buffer, &byte, 1, 0) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_buffer_extend(buffer, 1, NULL) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_buffer_extend_for_overwrite(buffer, 1, NULL) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_buffer_read(buffer, &byte, 1) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_buffer_read_at(buffer, &byte, 1, 0) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_buffer_truncate(buffer, 0) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_buffer_reset(buffer) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_buffer_view(buffer, NULL, NULL) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_buffer_iovec(buffer, 0, 0, &view) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_buffer_release(buffer) == STEALTH_INVALID_HANDLE);
}

int main(void) {
  int here = 0;
  create_and_destroy();
  other_versions();
  contents();
  waiting();
  wrong_handle(NULL);
  wrong_handle(&here);
  wrong_handle(TEST_CAST(void*, 1));
  wrong_handle(TEST_CAST(void*, -1));
  return 0;
}
