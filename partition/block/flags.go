package block

// rowFlags holds a chunk's kind, marks and rung. Bits without a name are zero.
type rowFlags uint16

const (
	rowKind      rowFlags = 7      // bits 0–2: the Kind
	rowBad       rowFlags = 1 << 3 // was unreadable when merged; no columns
	rowStarts    rowFlags = 1 << 4 // has a column of start timestamps
	rowAggregate rowFlags = 1 << 5 // has an aggregate; not in blocks of version 1
	rowRung      rowFlags = 15 << rowRungShift
	rowRungShift          = 8 // bits 8–11: rung of the window ladder

	rowFlagsKnown = rowKind | rowBad | rowStarts | rowAggregate | rowRung
)

// flagsOf returns the flags of a kind.
func flagsOf(k Kind) rowFlags { return rowFlags(k) }

// rungFlags returns the flags of a rung.
func rungFlags(rung uint8) rowFlags { return rowFlags(rung) << rowRungShift }

func (f rowFlags) kind() Kind { return Kind(f & rowKind) }

func (f rowFlags) rung() uint8 { return uint8(f >> rowRungShift) }

// hasColumns reports whether the chunk has columns of times and values.
func (f rowFlags) hasColumns() bool { return f&rowBad == 0 && f.kind() != KindStandIn }

func (f rowFlags) valid() bool {
	if f&^rowFlagsKnown != 0 || f.rung() > maxRung || f&rowBad != 0 && f&(rowStarts|rowAggregate) != 0 {
		return false
	}
	switch f.kind() {
	case KindFloats:
		return true
	case KindHistograms:
		return f&rowAggregate == 0
	case KindBuckets, KindStandIn:
		return f&^rowKind == 0
	}
	return false
}

// flagsOfByte returns the flags of a chunk in a block older than versionRollups,
// where they take one byte:
//
//	bit 0 histograms, 1 bad, 2 has start timestamps, 3 has an aggregate, 4–7 rung
func flagsOfByte(b byte) rowFlags {
	return rowFlags(b&1) | rowFlags(b>>1&7)<<3 | rungFlags(b>>4)
}
