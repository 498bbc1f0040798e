"""What is kept of explained examples while a run goes on, so that another run can resume it."""
