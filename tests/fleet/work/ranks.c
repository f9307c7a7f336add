// What one rank of an MPI job does that has more to do than its node has memory for: a thread makes blocks of work as
// fast as it can, into a queue without a bound; the rank itself takes them at a fixed pace, sends each to its
// neighbour, takes the one that comes from the other side, and frees both. So all memory that is held is work that
// waits.
//
//   ranks BLOCKS PACE_US     blocks for each rank; the time that one step takes at least
//
// Each rank prints `rank R of N pid P` at its start, and at its end `rank R sent … got … sum …`.
#include <mpi.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { kSmallest = 256, kDoublings = 11, kLargest = kSmallest << kDoublings };  // bytes of a block

struct block {
  struct block* next;
  uint64_t size;  // of bytes
  unsigned char bytes[];
};

static struct block *g_first, **g_last = &g_first;
static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t g_more = PTHREAD_COND_INITIALIZER;
static long g_blocks;
static int g_rank;

static void give_up(const char* why) {
  fprintf(stderr, "rank %d: %s\n", g_rank, why);
  MPI_Abort(MPI_COMM_WORLD, 3);
}

static uint64_t next_random(uint64_t* state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return *state >> 33;
}

static void* make(void* unused) {
  uint64_t state = 77 + (uint64_t)g_rank;
  for (long n = 0; n < g_blocks; ++n) {
    const uint64_t least = (uint64_t)kSmallest << next_random(&state) % kDoublings;
    const uint64_t size = least + next_random(&state) % least;
    struct block* made = malloc(sizeof *made + size);
    if (made == NULL) give_up("no memory for a block");
    made->next = NULL;
    made->size = size;
    memset(made->bytes, (int)((g_rank * 31 + n) & 255), size);
    pthread_mutex_lock(&g_lock);
    *g_last = made;
    g_last = &made->next;
    pthread_cond_signal(&g_more);
    pthread_mutex_unlock(&g_lock);
  }
  return unused;
}

static struct block* take(void) {
  pthread_mutex_lock(&g_lock);
  while (g_first == NULL) pthread_cond_wait(&g_more, &g_lock);
  struct block* taken = g_first;
  g_first = taken->next;
  if (g_first == NULL) g_last = &g_first;
  pthread_mutex_unlock(&g_lock);
  return taken;
}

// Sends `out` to the right, and gives back how many bytes came from the left; they are what was sent.
static uint64_t exchange(const struct block* out, unsigned char* in, int ranks, long step) {
  const int right = (g_rank + 1) % ranks;
  const int left = (g_rank + ranks - 1) % ranks;
  MPI_Request sent;
  MPI_Status came;
  int size = 0;
  MPI_Isend(out->bytes, (int)out->size, MPI_BYTE, right, 1, MPI_COMM_WORLD, &sent);
  MPI_Probe(left, 1, MPI_COMM_WORLD, &came);
  MPI_Get_count(&came, MPI_BYTE, &size);
  if ((size_t)size > kLargest) give_up("a larger message came than any was sent");
  MPI_Recv(in, size, MPI_BYTE, left, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  MPI_Wait(&sent, MPI_STATUS_IGNORE);
  const unsigned char is = (unsigned char)((left * 31 + step) & 255);
  for (int i = 0; i < size; ++i) {
    if (in[i] != is) give_up("another message came than was sent");
  }
  return (uint64_t)size;
}

int main(int argc, char** argv) {
  int ranks = 0;
  int threads = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &threads);
  MPI_Comm_rank(MPI_COMM_WORLD, &g_rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if (argc != 3 || threads < MPI_THREAD_FUNNELED) give_up("usage: ranks BLOCKS PACE_US");
  g_blocks = atol(argv[1]);
  const struct timespec pace = {0, atol(argv[2]) * 1000};
  printf("rank %d of %d pid %d\n", g_rank, ranks, (int)getpid());
  fflush(stdout);

  unsigned char* in = malloc(kLargest);
  pthread_t maker;
  if (in == NULL || pthread_create(&maker, NULL, make, NULL) != 0) give_up("no memory or no thread");
  uint64_t sent = 0;
  uint64_t got = 0;
  for (long step = 0; step < g_blocks; ++step) {
    struct block* out = take();
    got += exchange(out, in, ranks, step);
    sent += out->size;
    free(out);
    nanosleep(&pace, NULL);
  }
  pthread_join(maker, NULL);
  free(in);
  uint64_t sums[2] = {sent, got};
  uint64_t all[2] = {0, 0};
  MPI_Allreduce(sums, all, 2, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
  printf("rank %d sent %llu of %llu got %llu of %llu\n", g_rank, (unsigned long long)sent, (unsigned long long)all[0],
         (unsigned long long)got, (unsigned long long)all[1]);
  MPI_Finalize();
  return 0;
}
