"""Many runs: trained together, in processes, on a cluster, and compared."""
