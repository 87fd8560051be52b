package wal

// chunkBytes is the size of the chunks of the pending buffer. A chunked buffer grows
// without copying, and its memory follows its use.
const chunkBytes = 256 << 10

// freeChunks bounds the number of chunks kept for reuse.
const freeChunks = 16

// batch is frames in memory, in the order of their LSNs, laid out as on disk. A
// frame never spans chunks.
type batch struct {
	chunks   [][]byte
	ordinary int64 // bytes of frames that came from the ordinary budget
	tail     int64 // bytes of frames that came from the tail
}

// add extends the batch by n bytes and returns them for the caller to fill. It uses
// chunks of free before it allocates new ones.
func (b *batch) add(n int, free *[][]byte) []byte {
	if k := len(b.chunks) - 1; k >= 0 && cap(b.chunks[k])-len(b.chunks[k]) >= n {
		c := b.chunks[k]
		b.chunks[k] = c[:len(c)+n]
		return b.chunks[k][len(c):]
	}
	var c []byte
	if k := len(*free) - 1; k >= 0 && n <= chunkBytes {
		c, *free = (*free)[k], (*free)[:k]
	} else {
		c = make([]byte, 0, max(n, chunkBytes))
	}
	b.chunks = append(b.chunks, c[:n])
	return c[:n]
}

// recycle moves the chunks of a written batch to free.
func (b *batch) recycle(free [][]byte) [][]byte {
	for _, c := range b.chunks {
		if cap(c) == chunkBytes && len(free) < freeChunks {
			free = append(free, c[:0])
		}
	}
	clear(b.chunks)
	*b = batch{chunks: b.chunks[:0]}
	return free
}

// group is shared by the waiters of one flush.
type group struct {
	done chan struct{} // closed when the flush has ended
	err  error         // result of the flush; set before done is closed

	waiting bool // a goroutine waits that could not flush, and flushLoop does not know; guarded by Log.mu
}

func newGroup() *group { return &group{done: make(chan struct{})} }

func (g *group) finish(err error) {
	g.err = err
	close(g.done)
}
