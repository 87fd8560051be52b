package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"tsdb/encoding"
	"tsdb/internal/objstore"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/storage/log"
)

// ioBytes is the size of reads and writes of objects.
const ioBytes = 1 << 20

// ErrVerify is returned when an object that has been written reads back as something
// else.
var ErrVerify = errors.New("object reads back differently from what was written")

// objectReader reads an object front to back.
type objectReader struct {
	ctx context.Context // of the call that reads
	o   objstore.Object
	off int64
}

func (r *objectReader) Read(p []byte) (int, error) {
	n := min(int64(len(p)), r.o.Size()-r.off)
	if n <= 0 {
		return 0, io.EOF
	}
	if err := r.o.ReadAt(r.ctx, p[:n], r.off); err != nil {
		return 0, err
	}
	r.off += n
	return int(n), nil
}

// openReader opens an object to be read front to back. The caller closes it.
func openReader(ctx context.Context, store objstore.Store, key string) (io.Reader, io.Closer, error) {
	o, err := store.Open(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	if s, ok := o.(objstore.Streamer); ok {
		r := s.NewReader(ctx)
		return bufio.NewReaderSize(r, ioBytes), closers{r, o}, nil
	}
	return bufio.NewReaderSize(&objectReader{ctx: ctx, o: o}, ioBytes), o, nil
}

// closers are closed in order.
type closers []io.Closer

func (c closers) Close() error {
	var errs []error
	for _, one := range c {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}

// readAll reads an object of at most limit bytes.
func readAll(ctx context.Context, store objstore.Store, key string, limit int64) (b []byte, id objstore.Identity, err error) {
	o, err := store.Open(ctx, key)
	if err != nil {
		return nil, id, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	if o.Size() > limit {
		return nil, id, format.Corrupt("%s has %d bytes, at most %d are possible", key, o.Size(), limit)
	}
	b = make([]byte, o.Size())
	if err := o.ReadAt(ctx, b, 0); err != nil {
		return nil, id, err
	}
	return b, objstore.IdentityOf(o.Size(), b), nil
}

// put writes an object with fill and reads it back. A torn object that has the key is
// replaced. through is called with each part before it is written.
func put(ctx context.Context, store objstore.Store, key string, through func(n int) error, fill func(io.Writer) error) (objstore.Identity, error) {
	for try := 1; ; try++ {
		id, crc, err := putOnce(ctx, store, key, through, fill)
		if err == nil {
			err = verify(ctx, store, key, id, crc)
		}
		again := errors.Is(err, objstore.ErrConflict) || errors.Is(err, ErrVerify)
		if !again || try == 2 {
			return id, err
		}
		if errs := store.Delete(ctx, key); errs != nil {
			return id, errors.Join(err, errors.Join(errs...))
		}
	}
}

func putOnce(ctx context.Context, store objstore.Store, key string, through func(n int) error, fill func(io.Writer) error) (id objstore.Identity, crc uint32, err error) {
	w, err := store.Create(ctx, key)
	if err != nil {
		return id, 0, fmt.Errorf("write %s: %w", key, err)
	}
	c := &checkedWriter{w: w, through: through}
	if err = fill(c); err == nil {
		id, err = w.Commit(ctx)
	}
	if err != nil {
		return id, 0, fmt.Errorf("write %s: %w", key, errors.Join(err, w.Abort()))
	}
	return id, c.crc, nil
}

// checkedWriter computes the checksum of what it writes.
type checkedWriter struct {
	w       io.Writer
	crc     uint32
	through func(n int) error
}

func (c *checkedWriter) Write(b []byte) (int, error) {
	if c.through != nil {
		if err := c.through(len(b)); err != nil {
			return 0, err
		}
	}
	c.crc = encoding.ChecksumSeeded(c.crc, b)
	return c.w.Write(b)
}

// verify reads an object back.
func verify(ctx context.Context, store objstore.Store, key string, id objstore.Identity, want uint32) (err error) {
	in, o, err := openReader(ctx, store, key)
	if err != nil {
		return fmt.Errorf("read %s back: %w", key, err)
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	c := &checkedWriter{w: io.Discard}
	n, err := io.CopyBuffer(c, struct{ io.Reader }{in}, make([]byte, ioBytes))
	switch {
	case err != nil:
		return fmt.Errorf("read %s back: %w", key, err)
	case n != id.Size || c.crc != want:
		return fmt.Errorf("%s: %w: %d bytes with checksum %08x, not %d with %08x", key, ErrVerify, n, c.crc, id.Size, want)
	}
	return nil
}

// hasBlock reports whether the archive has a block that an earlier, interrupted backup
// wrote: every checksum of it is verified.
func hasBlock(ctx context.Context, store objstore.Store, key string, want block.Info) (bool, error) {
	o, err := store.Open(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	b, err := block.OpenObject(o, want.Name, nil)
	if err != nil {
		if block.IsLost(err) || errors.Is(err, io.ErrUnexpectedEOF) {
			return false, nil
		}
		return false, err
	}
	defer func() { _ = b.Close() }() // it was only read
	damage, err := checkBlock(ctx, b, want)
	return damage == "" && err == nil, err
}

// checkBlock verifies that a block is the one that the MANIFEST lists and that all its
// checksums are right, and returns the first damage, empty if there is none. They cover
// every byte; that these decode to what was written is a matter of the block's writer.
func checkBlock(ctx context.Context, b *block.Block, want block.Info) (damage string, err error) {
	if got := b.Info(); got.Size != want.Size || got.CRC != want.CRC || got.FooterLen != want.FooterLen {
		return fmt.Sprintf("another block than the MANIFEST lists: %d bytes, tail %08x instead of %d bytes, tail %08x", got.Size, got.CRC, want.Size, want.CRC), nil
	}
	err = b.ValidateChecksums(ctx, func(off int64, what string) {
		if damage == "" {
			damage = fmt.Sprintf("at %d: %s", off, what)
		}
	})
	return damage, err
}

// hasPiece reports whether the archive has a piece, with intact frames, and fills in its
// identity.
func hasPiece(ctx context.Context, store objstore.Store, key string, p *piece) (ok bool, err error) {
	in, o, err := openReader(ctx, store, key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	got, err := readPiece(in, func(uint64, log.Frame) error { return nil })
	if err != nil || got.RawCRC != p.RawCRC || got.RawBytes != p.RawBytes || got.First != p.First || got.Last != p.Last {
		return false, nil // it is written again
	}
	p.Object, err = store.Head(ctx, key)
	return err == nil, err
}
