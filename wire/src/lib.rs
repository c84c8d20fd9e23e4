//! The ApsaraVideo VOD RPC protocol; being written.
