package archive

import (
	"errors"
	"fmt"

	"tsdb/encoding"
	"tsdb/partition/manifest"
)

// ErrBranch is returned by Backup for a directory that does not continue what is archived
// of its incarnation: an older copy of it, or a copy on which another server has run.
var ErrBranch = errors.New("the directory does not continue what is archived of it")

// checkBranch returns ErrBranch if the directory and the newest mark have different blocks
// under one name, or different frames under one LSN.
func (b *backup) checkBranch() error {
	st, err := manifest.Decode(b.last.Manifest)
	if err != nil {
		return fmt.Errorf("MANIFEST of the newest backup: %w", err)
	}
	for name, own := range b.source.state.Blocks {
		if old, ok := st.Blocks[name]; ok && (old.Size != own.Size || old.CRC != own.CRC) {
			return fmt.Errorf("%w: block %s has %d bytes and tail %08x, the backup has %d bytes and tail %08x", ErrBranch, name, own.Size, own.CRC, old.Size, old.CRC)
		}
	}
	// The newest frames that both have: histories that differ before differ there too.
	for i := len(b.last.Pieces) - 1; i >= 0; i-- {
		p := &b.last.Pieces[i]
		for _, x := range b.source.extents {
			if x.Segment != p.Segment || x.First > p.First || x.Last < p.Last {
				continue
			}
			crc := uint32(0)
			err := b.source.log.ReadFrames(x, p.First-1, p.Last, func(frames []byte) error {
				crc = encoding.ChecksumSeeded(crc, frames)
				return nil
			})
			if err != nil {
				return err
			}
			if crc != p.RawCRC {
				return fmt.Errorf("%w: the log frames with LSNs %d to %d differ from those in the backup", ErrBranch, p.First, p.Last)
			}
			return nil
		}
	}
	return nil
}
