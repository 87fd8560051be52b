package encoding

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func TestZstdKeepsSizesAndMemoryBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, 100, 255, 256, 257, 70_000, zstdWindow - 1, 3 * zstdWindow} {
		src := make([]byte, size)
		copy(src, randomBytes(r, min(size, 1000)))
		frame := AppendZstd(nil, src)
		got, err := DecodeZstd(nil, frame, size)
		if err != nil || !bytes.Equal(got, src) {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if _, err := DecodeZstd(nil, frame, size-1); size > 0 && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%d bytes where one less is allowed: %v", size, err)
		}
		if _, err := DecodeZstd(nil, append(frame, frame...), 2*size); size > 0 && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("two frames of %d bytes: %v", size, err)
		}
	}
}

func TestZstdRefusesFramesThatLie(t *testing.T) {
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	enc.Reset(&stream)
	enc.Write(make([]byte, 1<<20)) // a stream of unknown size
	enc.Close()
	bomb := enc.EncodeAll(make([]byte, 1<<25), nil)
	small := AppendZstd(nil, make([]byte, 1000))
	lie := bytes.Clone(small)
	binary.LittleEndian.PutUint16(lie[5:], 500-256) // its content size
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for name, frame := range map[string][]byte{
		"without a size": stream.Bytes(), "of 32 MiB": bomb, "longer than it says": lie,
		"skippable": {0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4}, "empty": {}, "cut": small[:len(small)-1],
	} {
		if _, err := DecodeZstd(nil, frame, 1<<16); !errors.Is(err, ErrCorrupt) {
			t.Errorf("a frame %s: %v", name, err)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("%d bytes allocated", grown)
	}
}

// Previous calls of an encoder must not affect its next frame, so that files are
// reproducible.
func TestFramesDoNotDependOnWhatCameBefore(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	texts := fill(30, func(i int) []byte {
		words := fill(40, func(int) []byte { return randomBytes(r, 1+r.IntN(9)) })
		return bytes.Join(fill(20+400*i, func(int) []byte { return words[r.IntN(len(words))] }), []byte(" "))
	})
	first := fill(len(texts), func(i int) []byte { return AppendZstd(nil, texts[i]) })
	for range 200 {
		i := r.IntN(len(texts))
		if !bytes.Equal(AppendZstd(nil, texts[i]), first[i]) {
			t.Fatalf("text of %d bytes: another frame than the first time", len(texts[i]))
		}
	}
}

func TestVarints(t *testing.T) {
	for _, v := range []int64{0, 1, -1, 63, 64, -64, -65, 1 << 31, math.MaxInt64, math.MinInt64} {
		b := append(binary.AppendVarint(nil, v), 9)
		got, rest, err := Varint(b)
		if err != nil || got != v || len(rest) != 1 {
			t.Errorf("%d comes back as %d with %d bytes left: %v", v, got, len(rest), err)
		}
		b = append(binary.AppendUvarint(nil, uint64(v)), 9)
		u, rest, err := Uvarint(b)
		if err != nil || u != uint64(v) || len(rest) != 1 {
			t.Errorf("%d comes back as %d with %d bytes left: %v", uint64(v), u, len(rest), err)
		}
		for cut := range len(b) - 1 {
			if _, _, err := Uvarint(b[:cut]); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%d cut to %d bytes: %v", v, cut, err)
			}
		}
	}
	for _, b := range [][]byte{nil, bytes.Repeat([]byte{0xff}, 10), bytes.Repeat([]byte{0x80}, 20), append(bytes.Repeat([]byte{0xff}, 9), 2)} {
		if _, _, err := Uvarint(b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%x: %v", b, err)
		}
	}
}

func TestBytesChecksLengths(t *testing.T) {
	b := AppendBytes(nil, []byte("abc"))
	got, rest, err := Bytes(append(b, 'd'), 3)
	if err != nil || string(got) != "abc" || string(rest) != "d" || cap(got) != 3 {
		t.Errorf("%q, %q, %v", got, rest, err)
	}
	for name, f := range map[string]func() error{
		"too long for the caller":  func() error { _, _, err := Bytes(b, 2); return err },
		"longer than what is left": func() error { _, _, err := Bytes(b[:3], 9); return err },
		"longer than memory": func() error {
			_, _, err := Bytes(binary.AppendUvarint(nil, 1<<63), math.MaxInt)
			return err
		},
	} {
		if err := f(); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChecksumsAreCRC32C(t *testing.T) {
	if got := Checksum([]byte("123456789")); got != 0xe3069283 {
		t.Errorf("%#x", got)
	}
	a, b := []byte("first "), []byte("second")
	if ChecksumSeeded(Checksum(a), b) != Checksum(append(bytes.Clone(a), b...)) {
		t.Error("a checksum does not continue")
	}
	if ChecksumSeeded(7, b) != crc32.Update(7, crc32.MakeTable(crc32.Castagnoli), b) {
		t.Error("a seeded checksum is not an update")
	}
}
