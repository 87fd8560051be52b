package wal

// chunkBytes is the size of the pieces the pending buffer is made of. In
// pieces it never has to be copied to grow, and its memory follows its use.
const chunkBytes = 256 << 10

// freeChunks bounds how many pieces are kept for reuse.
const freeChunks = 16

// batch is frames in memory, in the order of their LSNs, laid out as on disk. A
// frame lies in one chunk.
type batch struct {
	chunks   [][]byte
	ordinary int64 // bytes of frames that came from the ordinary budget
	tail     int64 // bytes of frames that came from the tail
}

// add returns n bytes at the end of the batch to be filled. free holds chunks
// to use before new ones are made.
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

// recycle puts the memory of a written batch into free.
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

// group is what the waiters of one flush share.
type group struct {
	done chan struct{} // closed when the flush has ended
	err  error         // how it ended; set before done is closed
}

func newGroup() *group { return &group{done: make(chan struct{})} }

func (g *group) finish(err error) {
	g.err = err
	close(g.done)
}
