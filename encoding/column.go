package encoding

// The ids in the bytes of columns, a closed set. A number, once written, never
// changes its meaning; decoders return ErrCorrupt for unknown ones.

// Transform says how a column of floats becomes a column of integers.
type Transform uint8

// The transforms. i/10^e and its two variants are the formulas by which programs
// compute decimals.
const (
	TransformInt   Transform = 0 // the float is an integer, |i| < 2^53
	TransformDec   Transform = 1 // i / 10^e
	TransformDecM  Transform = 2 // i · 10^-e
	TransformBits  Transform = 3 // the 64 bits, mapped so that integers order as floats do
	TransformConst Transform = 4 // all values have the same 64 bits
	TransformDecDD Transform = 5 // i / 1000 / 10^(e-3)
)

var transformNames = [8]string{"INT", "DEC", "DECM", "BITS", "CONST", "DECDD", "transform 6", "transform 7"}

func (t Transform) String() string { return transformNames[t&7] }

// Bits of a float column's first byte.
const (
	floatTransform  = 0x07
	constShift      = 3    // CONST only: the other bits are a number of bytes
	floatCorrection = 0x20 // a correction column follows
	floatOnePattern = 0x40 // all exceptions have the same 64 bits
	floatExceptions = 0x80 // exceptions follow
)

// Order is the kind of difference that is stored of a column of integers.
type Order uint8

// The orders.
const (
	OrderRaw    Order = 0 // the integers
	OrderDelta  Order = 1 // their differences
	OrderDelta2 Order = 2 // the differences of their differences
	OrderGrid   Order = 3 // their distances from a grid, first + i·step
)

var orderNames = [4]string{"raw", "delta", "delta2", "grid"}

func (o Order) String() string { return orderNames[o&3] }

// Coder is the code of the residuals that an order leaves.
type Coder uint8

// The coders.
const (
	CoderConst  Coder = 0 // all residuals are equal
	CoderPack   Coder = 1 // one width in bits, patches for residuals that do not fit
	CoderTokA   Coder = 2 // Huffman-coded tokens, 16 direct ones, then 2 an octave and sign
	CoderXOR    Coder = 3 // Gorilla: XOR with the predecessor, for BITS only
	CoderSparse Coder = 6 // the residuals that are not 0, and the gaps between them
	CoderTokB   Coder = 7 // Huffman-coded tokens, 128 direct ones, then 1 an octave and sign
)

var coderNames = [8]string{"CONST", "PACK", "TOK-A", "XOR", "coder 4", "coder 5", "SPARSE", "TOK-B"}

func (c Coder) String() string { return coderNames[c&7] }

func (c Coder) tokens() bool { return c == CoderTokA || c == CoderTokB }

// Bits of the byte that heads a column of integers.
const (
	intOrder   = 0x03
	intCoder   = 0x1c // shifted left by coderShift
	intPoints  = 0x20 // restart points follow
	intGCD     = 0x40 // all differences are multiples of a number that follows
	intExtra   = 0x80 // tokens have extra bits
	coderShift = 2
)
