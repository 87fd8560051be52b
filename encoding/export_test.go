package encoding

// BucketsOf is bucketsOf for tests outside of the package.
var BucketsOf = bucketsOf
